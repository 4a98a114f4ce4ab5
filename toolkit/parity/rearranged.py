"""Weights of which a file keeps the rows in another order, under another name. Pure.

ONNX's recurrent operators want the gates in another order than PyTorch has them, both biases in one
tensor and both directions too; so no name pairs these tensors. Their rows do: each is one of the
original's, bit by bit, or nearly all are, and the others were damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from toolkit.parity.flaw import Flaw
from toolkit.parity.weights import FEW, named

_LEAST = 8
"""Rows of a tensor: of fewer, all but one may be alike by chance."""

_NEAR = 0.5
"""A damaged row is nearer to one of the original's than half of its length: no rewrite that makes
rows of its own (of zeros, of ones) beside those that it keeps comes so near to one that it lost."""

_LARGEST = 64 << 20
"""Bytes of a tensor beyond which it is not taken to pieces."""


def damaged(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[Flaw]:
    """Each tensor of another name of which a few rows are not the original's."""
    names = named(original, found)
    lost = {n: a for n in {*original} - {*names.values()} if _is_taken(a := original[n])}
    new = {n: a for n in {*found} - {*names} if _is_taken(a := found[n])}
    return [Flaw(told, name) for name in sorted(new) for told in _told(name, new[name], lost)]


def _told(name: str, array: np.ndarray, lost: Mapping[str, np.ndarray]) -> Iterator[str]:
    rows, pool = _rows(array, lost)
    if len(rows) < _LEAST or not len(pool):
        return
    own, known = _keys(rows), _keys(pool)
    strange = np.flatnonzero(~np.isin(own, known))
    few = 0 < len(strange) <= max(1, FEW * len(rows))
    if not few or len(np.unique(own)) < len(own) / 2:  # zeros are zeros, wherever they come from
        return
    left = pool[~np.isin(known, own)].astype(np.float64)
    for number in strange if len(left) else ():
        row = rows[number].astype(np.float64)
        meant = left[np.argmin(np.linalg.norm(left - row, axis=1))]
        if np.linalg.norm(meant - row) <= _NEAR * np.linalg.norm(meant):
            at = int(np.argmax(np.abs(row - meant)))
            yield (
                f"weight '{name}' has {len(strange)} of {len(rows)} rows that the original has not:"
                f" {row[at]:.9g} in row {number}, the nearest has {meant[at]:.9g}"
            )
            return


def _rows(array: np.ndarray, lost: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a tensor, and those of the original that are as long; of vectors, the elements."""
    alike = [a for a in lost.values() if a.dtype == array.dtype]
    width = array.shape[-1] if array.ndim > 1 else 1
    matrices = [a.reshape(-1, width) for a in alike if a.ndim > 1 and a.shape[-1] == width]
    if not matrices:
        width, matrices = 1, [a.reshape(-1, 1) for a in alike if a.ndim == 1]
    pool = np.concatenate(matrices) if matrices else np.empty((0, width), array.dtype)
    return array.reshape(-1, width), pool


def _keys(rows: np.ndarray) -> np.ndarray:
    """Rows as values that are equal where all bits are."""
    whole = np.ascontiguousarray(rows)
    return whole.view(np.dtype((np.void, whole.itemsize * whole.shape[1]))).reshape(-1)


def _is_taken(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and array.ndim > 0 and array.nbytes <= _LARGEST
