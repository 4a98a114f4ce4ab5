"""scikit-learn's handwritten digits, split once and for all: what the samples on digits share."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from toolkit.plugins import Session

Split = tuple[np.ndarray, np.ndarray]


def digits() -> tuple[Split, Split]:
    """1,437 images to train on and 360 to hold out: float32 [n, 1, 8, 8] in 0..1, labels [n]."""
    data = load_digits()
    images = (data.images / data.images.max()).astype(np.float32)[:, None]
    x, held_x, y, held_y = train_test_split(
        images, data.target, test_size=0.2, random_state=0, stratify=data.target
    )
    return (x, y), (held_x, held_y)


def accuracy(session: Session) -> float:
    """The share of the held-out images that get their label: a metric for `toolkit.ship`.

    For any model of images in and one score a class out; one of plain rows gets them flattened.
    """
    images, labels = digits()[1]
    spec, output = session.signature.inputs[0], session.signature.outputs[0].name
    rows = images.reshape(len(images), *spec.shape[1:])
    batches = (rows[i : i + 60] for i in range(0, len(rows), 60))
    found = [session.run({spec.name: batch})[output].argmax(-1) for batch in batches]
    return float(np.mean(np.concatenate(found) == labels))
