"""An LSTM that reads scikit-learn's digits row by row: train, ship, compare.

    python samples/digits_lstm.py [--out FOLDER] [--epochs N] [--budget SECONDS]

An image is a sequence of 8 steps (its rows, from the top) of 8 features (the pixels of a row).
Writes into FOLDER: weights.safetensors, held_out.npz (sequences that the model never saw, and their
lengths), held_out_labels.npy, and bundle/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import toolkit
from digits import digits
from toolkit.plugins import Session
from toolkit.report.console import Live, show_timings
from toolkit.zoo.lstm import SequenceClassifier, build

SOURCE = "zoo:lstm,features=8,steps=8"


def sequences(images: np.ndarray) -> dict[str, np.ndarray]:
    """Images [n, 1, 8, 8] as 8 steps of 8 features, all of which count."""
    return {"x": images[:, 0], "lengths": np.full(len(images), images.shape[2])}


def train(
    model: SequenceClassifier, data: dict[str, np.ndarray], labels: np.ndarray, *, epochs: int
) -> None:
    """Cross-entropy with smoothed labels, AdamW, gradients clipped, a learning rate that falls.

    On one thread: so small a model gains nothing from two, and loses much on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    order = torch.Generator().manual_seed(0)
    x, lengths, y = map(torch.from_numpy, (data["x"], data["lengths"], labels))
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(32):
            logits = model.logits(x[batch], lengths[batch])
            loss = torch.nn.functional.cross_entropy(logits, y[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/digits_lstm"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    (images, labels), (held_images, held_labels) = digits()
    training, held_out = sequences(images), sequences(held_images)
    with Live() as live:
        live.stage("train")
        model, _ = build(features=8, steps=8)
        train(model, training, labels, epochs=options.epochs)
        live.say(f"{len(images)} images as sequences, {options.epochs} epochs")

        save_file(model.state_dict(), options.out / "weights.safetensors")
        np.savez(options.out / "held_out.npz", **held_out)
        np.save(options.out / "held_out_labels.npy", held_labels)

        def accuracy(session: Session) -> float:
            starts = range(0, len(held_images), 30)
            batches = ({n: a[i : i + 30] for n, a in held_out.items()} for i in starts)
            found = [session.run(batch)["probabilities"].argmax(-1) for batch in batches]
            return float(np.mean(np.concatenate(found) == held_labels))

        bundle = toolkit.ship(
            SOURCE,
            options.out / "bundle",
            weights=options.out / "weights.safetensors",
            data=training,
            metric=accuracy,
            budget=options.budget,
            listener=live,
        )

    print(f"\nheld-out accuracy ({len(held_images)} images)")
    for name, value in bundle.metrics.items():
        print(f"  {name:10}{100 * value:6.2f} %")
    print("\nlatency")
    show_timings(bundle.timings)
    print(f"\nbundle    {bundle.path}: " + ", ".join(sorted(p.name for p in bundle.path.iterdir())))


if __name__ == "__main__":
    main()
