"""Weights that a file carries under the original's own names, compared bit by bit. Pure.

A single weight that is off by a little may stay below what any output shows. A rewrite that folds
something into a weight changes all of it; a tensor of which a few elements differ was damaged.
Where a batch norm was folded into it, each of its channels is the original's times a number, but
for the elements that were damaged.
One tensor at a time is looked at: both sides may read theirs when they are asked for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from toolkit.dtypes import epsilon, numpy_dtype
from toolkit.parity.flaw import Flaw

TRANSPOSED = ".T"
"""What an exporter puts behind the name of a matrix that it stores transposed."""

FEW = 0.1
"""The share of a tensor's elements, or rows, up to which a change is damage and not a rewrite."""


_PRODUCTS = 4
"""Ulps by which a weight may be off after it was scaled: the scale is a quotient of a root."""


_MANY = 32
"""Ulps above which a weight may be suspected. A factor that was folded in and is nearer to 1 does
about as much as the rounding after it: with one of about 1 + 5e-7 in a layer of a single weight,
one of 1,531 files was nearer to the original without it by chance. Above this none of 65,941 was.
"""


def damaged(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[Flaw]:
    """Each tensor of one name, shape and dtype of which a few elements differ."""
    flaws = []
    for pair in pairs(original, found):
        differs = pair.differs()
        if differs.any() and (half := pair.rounded()):
            told = f"weight '{pair.name}' is the original's rounded to {half}"
            flaws.append(Flaw(told, pair.stored))
            continue
        if differs.mean() > FEW:
            pair = pair.scaled()  # noqa: PLW2901
            differs = pair.departs()
        count = int(differs.sum())
        if 0 < count <= max(1, FEW * differs.size) and differs.size > 1:
            flaws.append(Flaw(pair.told(differs), pair.stored))
    return flaws


def departing(
    original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], *, most: int
) -> list[Pair]:
    """The pairs of floating tensors that differ by many ulps; none if more than `most` do."""
    apart: list[Pair] = []
    for pair in pairs(original, found):
        if pair.found.dtype.kind == "f" and pair.differs().any() and pair.departs(_MANY).any():
            apart.append(pair)
        if len(apart) > most:
            return []
    return apart


def changed(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[str]:
    """The names in the file of all tensors that are not those of the original."""
    return [pair.stored for pair in pairs(original, found) if pair.differs().any()]


def unrelated(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> bool:
    """True where tensors of one name have nothing in common: another draw, another training."""
    large = (pair for pair in pairs(original, found) if pair.found.size > 8)
    # Of most files the first is not, and no other is read.
    apart = (bool(pair.differs().mean() > 1 - FEW) for pair in large)
    return next(apart, False) and all(apart)


class Pair(NamedTuple):
    """A tensor of the original, and the one of the file that has its name, shape and dtype."""

    name: str
    original: np.ndarray
    found: np.ndarray
    stored: str
    """What the file calls it."""

    def differs(self) -> np.ndarray:
        """Where they differ bitwise, element by element."""
        bits = f"u{self.original.dtype.itemsize}"
        ours, theirs = (np.ascontiguousarray(a).view(bits) for a in (self.original, self.found))
        return np.atleast_1d(ours != theirs)

    def told(self, differs: np.ndarray | None = None) -> str:
        """A sentence that says in how many elements, and what the first of them is."""
        where = self.departs() if differs is None else differs
        found, original = (np.reshape(a, where.shape) for a in (self.found, self.original))
        at = np.unravel_index(int(where.argmax()), where.shape)
        return (
            f"weight '{self.name}' differs from the original's in {where.sum()} of {where.size}"
            f" elements: {found[at].item():.9g},"
            f" expected {original[at].item():.9g} at [{', '.join(map(str, at))}]"
        )

    def rounded(self) -> str:
        """The shorter format through which the original's numbers have gone; "" for none."""
        if self.found.dtype != np.float32:
            return ""
        for name in ("float16", "bfloat16"):
            with np.errstate(over="ignore"):
                short = self.original.astype(numpy_dtype(name)).astype(np.float32)
            if np.array_equal(short, self.found, equal_nan=True):
                return name
        return ""

    def scaled(self) -> Pair:
        """The original with each channel (the first axis) times what the found one's is of it."""
        if self.found.ndim < 2 or self.found.dtype.kind != "f":
            return self
        ours, theirs = (a.astype(np.float64).reshape(len(a), -1) for a in self[1:3])
        safe = np.where(ours == 0, 1.0, ours)
        ratios = np.ma.masked_where(ours == 0, theirs / safe)
        factor = np.ma.median(ratios, axis=1, keepdims=True)  # type: ignore[no-untyped-call]
        scaled = ours * factor.filled(0.0)
        return self._replace(original=scaled.reshape(self.found.shape))

    def departs(self, ulps: float = _PRODUCTS) -> np.ndarray:
        """Where the found one is not the original within the rounding of a few products."""
        if self.found.dtype.kind != "f":
            return self.differs()
        ours, theirs = (a.astype(np.float64) for a in self[1:3])
        far: np.ndarray = np.abs(theirs - ours) > ulps * epsilon("float32") * np.abs(ours)
        return np.atleast_1d(far)


def pairs(original: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> Iterator[Pair]:
    """The tensors of a file that have the name, shape and dtype of one of the original."""
    for stored, name in named(original, found).items():
        ours, theirs = original[name], found[stored] if name == stored else found[stored].T
        if ours.shape == theirs.shape and ours.dtype == theirs.dtype:
            yield Pair(name, ours, theirs, stored)


def named(original: Iterable[str], found: Iterable[str]) -> dict[str, str]:
    """By what a file calls it, the name that a tensor has in the original; of those with one."""
    names = set(original)
    known = {s: s if s in names else s.removesuffix(TRANSPOSED) for s in sorted(found)}
    return {stored: name for stored, name in known.items() if name in names}
