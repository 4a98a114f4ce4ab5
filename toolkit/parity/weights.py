"""Weights that a file carries under the original's own names, compared bit by bit. Pure.

A single weight that is off by a little may stay below what any output shows. A rewrite that folds
something into a weight changes all of it; a tensor of which a few elements differ was damaged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_FEW = 0.1
"""The share of a tensor's elements up to which a change is damage and not a rewrite."""


def damaged(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence for each tensor of one name, shape and dtype of which a few elements differ."""
    problems = []
    for name in sorted(original.keys() & found.keys()):
        ours, theirs = original[name], found[name]
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            continue
        bits = f"u{ours.dtype.itemsize}"
        differs = np.atleast_1d(
            np.ascontiguousarray(ours).view(bits) != np.ascontiguousarray(theirs).view(bits)
        )
        count = int(differs.sum())
        if 0 < count <= max(1, _FEW * differs.size) and differs.size > 1:
            at = np.unravel_index(int(differs.argmax()), differs.shape)
            where = "[" + ", ".join(map(str, at)) + "]"
            problems.append(
                f"weight '{name}' differs from the original's in {count} of {differs.size}"
                f" elements: {theirs[at].item():.9g}, expected {ours[at].item():.9g} at {where}"
            )
    return problems
