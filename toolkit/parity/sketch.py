"""Values in little memory, to be compared element by element. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np

from toolkit.parity.metrics import scale

_MOST = 1 << 14
"""Elements of a value that are kept; of larger ones a sample, the same for all of one size."""

_PROBES = 8
"""Elements by which landmarks that are far off are told apart from those worth a whole look."""


@dataclass(frozen=True)
class Sketch:
    """A value, in float64 and in the order of its memory: all of it, or a sample of its elements.

    Arrays of one size are sampled at the same places, so a reshaped one has the same sketch.
    """

    shape: tuple[int, ...]
    elements: np.ndarray

    @classmethod
    def of(cls, array: np.ndarray) -> Sketch:
        flat = np.ascontiguousarray(array).reshape(-1)
        kept = flat if flat.size <= _MOST else flat[_places(flat.size)]
        return cls(array.shape, kept.astype(np.float64))

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def scale(self) -> float:
        """The largest finite magnitude."""
        return scale(self.elements)

    @property
    def telling(self) -> bool:
        """False for what many values share: empty, all the same, a whole number."""
        if self.elements.size < 2:
            return bool(self.elements.size) and float(self.elements[0]) % 1 != 0
        return bool((self.elements != self.elements[0]).any())

    @property
    def whole(self) -> bool:
        """Are all of them finite whole numbers?"""
        with np.errstate(invalid="ignore"):
            return not (self.elements % 1).any()

    def distance(self, other: Sketch) -> float:
        """max |a - b| in the order of memory; inf where sizes differ, or NaN and infinities do."""
        if self.size != other.size:
            return inf
        return float(apart(self.elements, other.elements).max(initial=0.0))

    def within(self, other: Sketch, atol: float, rtol: float) -> bool:
        """Is |a - b| <= atol + rtol |b| everywhere?"""
        if self.size != other.size:
            return False
        limit = atol + rtol * np.abs(other.elements)
        return bool((apart(self.elements, other.elements) <= limit).all())


@lru_cache(maxsize=64)
def _places(size: int) -> np.ndarray:
    return np.sort(np.random.default_rng(size).choice(size, _MOST, replace=False, shuffle=False))


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """|a - b| element by element; 0 for NaN and NaN, inf where only one of them is NaN."""
    with np.errstate(invalid="ignore"):
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        return np.where(same, 0.0, np.nan_to_num(np.abs(one - other), nan=inf, posinf=inf))


def stride(size: int) -> int:
    """The step at which about _PROBES elements of a sketch are taken."""
    return max(1, min(size, _MOST) // _PROBES)
