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
    for name, differs in _differences(original, found).items():
        count = int(differs.sum())
        if 0 < count <= max(1, _FEW * differs.size) and differs.size > 1:
            at = np.unravel_index(int(differs.argmax()), differs.shape)
            where = "[" + ", ".join(map(str, at)) + "]"
            problems.append(
                f"weight '{name}' differs from the original's in {count} of {differs.size}"
                f" elements: {found[name][at].item():.9g},"
                f" expected {original[name][at].item():.9g} at {where}"
            )
    return problems


def unrelated(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> bool:
    """True where tensors of one name have nothing in common: another draw, another training."""
    differences = [d for d in _differences(original, found).values() if d.size > 8]
    return bool(differences) and all(d.mean() > 1 - _FEW for d in differences)


def _differences(
    original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Where tensors of one name, shape and dtype differ bitwise, element by element."""
    differences = {}
    for name in sorted(original.keys() & found.keys()):
        ours, theirs = (np.ascontiguousarray(w[name]) for w in (original, found))
        if ours.shape == theirs.shape and ours.dtype == theirs.dtype:
            bits = f"u{ours.dtype.itemsize}"
            differences[name] = np.atleast_1d(ours.view(bits) != theirs.view(bits))
    return differences
