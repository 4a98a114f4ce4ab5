"""Large arrays in pieces, so that no float64 copy of a whole one is ever made. Pure.

The pieces are the same for all arrays of one shape: what is added up piece by piece has the same
last bits every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

BLOCK = 1 << 20
"""Elements of a piece: 8 MiB in float64."""

Place = tuple[Any, ...]
"""An index: slices of the leading axes, and an ellipsis."""


def places(shape: tuple[int, ...], *, whole: int = 0) -> Iterator[Place]:
    """Where the pieces of an array are, in the order of its elements; each index gives a view.

    A piece has at most BLOCK elements, or the last `whole` axes of the array where these are more.
    """
    if prod(shape) <= BLOCK or len(shape) <= whole:
        yield (...,)
        return
    inner = prod(shape[1:])
    if inner <= BLOCK or len(shape) - 1 <= whole:
        step = max(1, BLOCK // inner)
        for start in range(0, shape[0], step):
            yield slice(start, start + step), ...
        return
    for row in range(shape[0]):
        for place in places(shape[1:], whole=whole):
            yield slice(row, row + 1), *place


def pieces(*arrays: np.ndarray, whole: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays of one shape, piece by piece, as they are."""
    for place in places(arrays[0].shape, whole=whole):
        yield tuple(array[place] for array in arrays)


def wide(*arrays: np.ndarray, whole: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays of one shape, piece by piece, in float64."""
    for found in pieces(*arrays, whole=whole):
        yield tuple(array.astype(np.float64, copy=False) for array in found)


def finite(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The elements that are finite in all of them; no copy where all are."""
    kept = np.isfinite(arrays[0])
    for array in arrays[1:]:
        kept &= np.isfinite(array)
    every = bool(kept.all())
    return tuple(a.ravel() if every else a[kept] for a in arrays)


def first(masks: Iterator[np.ndarray], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The first index that is true in masks that are the pieces of one of that shape."""
    before = 0
    for mask in masks:
        if mask.any():
            found = np.unravel_index(before + int(np.argmax(mask)), shape)
            return tuple(int(i) for i in found)
        before += mask.size
    return None
