"""Does a difference matter? What is done with an output decides: the class that wins, the nearest
neighbour, the box that is found. One comparator a kind (`toolkit.parity.kinds`), fed case by case.

A decision counts as changed only where PyTorch in its own precision and in float64 agree on it:
elsewhere it is a tie that the original itself does not settle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from toolkit.parity import blocks, kinds
from toolkit.parity.expectation import Expectation
from toolkit.parity.metrics import below, decibels, kl_divergence
from toolkit.parity.overlap import Boxes, Masks
from toolkit.signature import Signature

HALF_STEP = 2.0**-16
"""Of audio: half a step of 16 bits, of which full scale is 1.0. What is less, no file keeps."""

_ROWS = 512
"""Embeddings that are kept to look for neighbours among."""


@dataclass(frozen=True)
class Meaning:
    """What the difference of one output comes to, over the cases with values like real ones."""

    output: str
    kind: str
    text: str
    matters: bool

    def __str__(self) -> str:
        verdict = "matters" if self.matters else "does not matter"
        return f"'{self.output}' as {self.kind}: {self.text}: the difference {verdict}"


class Comparator(Protocol):
    """Adds up cases of one output, or some rows of a case; arrays as they came."""

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None: ...

    def told(self) -> tuple[str, bool]:
        """What was found, and does it matter?"""
        ...


class Meanings:
    """One comparator for each output that is of a kind."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._kinds: dict[str, str] = {}
        self._found: dict[str, Comparator] = {}

    def add(self, expected: Expectation, got: Mapping[str, np.ndarray]) -> None:
        """Take in a case. Raises InputError where the signature names a kind that does not fit."""
        kinds.require_outputs(self._signature, tuple(expected.plain))
        for name, plain in expected.plain.items():
            found = got.get(name)
            if found is None or found.shape != plain.shape or not plain.size:
                continue
            if _has_nan(expected.truth[name]) or _has_nan(found):
                continue
            if name not in self._kinds:
                self._kinds[name] = kinds.kind_of(self._signature, name, plain)
                if kind := self._kinds[name]:
                    self._found[name] = _COMPARATORS[kind]()
            if name in self._found:
                apart = min(1, plain.ndim) if self._kinds[name] in _BY_ROWS else plain.ndim
                for part in blocks.pieces(expected.truth[name], plain, found, whole=apart):
                    self._found[name].add(*part)

    def result(self) -> tuple[Meaning, ...]:
        told = ((n, c.told()) for n, c in self._found.items())
        return tuple(Meaning(n, self._kinds[n], text, matters) for n, (text, matters) in told)


class _Classes:
    """Rows [..., classes]: which wins, by how much, and how far the distributions are apart.

    `chances`: the probabilities that rows stand for.
    """

    def __init__(self, chances: Callable[[np.ndarray], np.ndarray]) -> None:
        self._chances = chances
        self._rows = self._flips = self._ties = 0
        self._margin = self._lost = self._kl = 0.0

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        right, own, found = (_finite_rows(a) for a in (truth, plain, got))
        best, other = right.argmax(-1), found.argmax(-1)
        p, q = self._chances(right), self._chances(found)
        every = np.arange(len(p))
        margins = np.where(best != other, p[every, best] - p[every, other], 0.0)
        settled = own.argmax(-1) == best
        self._rows += len(p)
        self._flips += int(((best != other) & settled).sum())
        self._ties += int(((best != other) & ~settled).sum())
        self._margin = max(self._margin, float(margins.max(initial=0.0)))
        self._lost += float(margins.sum())
        self._kl = max(self._kl, kl_divergence(p, q))

    def told(self) -> tuple[str, bool]:
        far = f"KL at most {self._kl:.2g}"
        ties = f" but for {self._ties} ties" if self._ties else ""
        if not self._flips:
            return f"the same class wins in all {self._rows:,} rows{ties}, {far}", False
        weighed = (
            f"by at most {self._margin:.2g} of probability, {self._lost / self._rows:.2g} a row"
        )
        return (
            f"another class wins in {self._flips:,} of {self._rows:,} rows, {weighed}, {far}",
            True,
        )


class _Embeddings:
    """Rows [rows, width]: their angle to the original, and is the nearest other row the same?"""

    def __init__(self) -> None:
        self._kept: list[tuple[np.ndarray, ...]] = []
        self._count = 0
        self._cosine = 1.0

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        units = tuple(_unit(a.astype(np.float64)) for a in (truth, plain, got))
        self._cosine = min(self._cosine, float((units[0] * units[2]).sum(-1).min()))
        room = _ROWS - sum(len(u[0]) for u in self._kept)
        self._count += len(truth)
        if room > 0 and (not self._kept or self._kept[0][0].shape[1] == truth.shape[1]):
            self._kept.append(tuple(u[:room] for u in units))

    def told(self) -> tuple[str, bool]:
        right, own, found = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        near = f"cosine at least {below(self._cosine)} over {self._count:,} rows"
        if len(right) < 3:
            return near, False
        nearest, settled = _nearest(right), _nearest(right) == _nearest(own)
        ranks = _ranks(found, nearest)
        moved = int(((ranks > 0) & settled).sum())
        if not moved:
            return f"{near}, the nearest of {len(right) - 1} others is the same for all", False
        worst = int(ranks[settled].max()) + 1
        return f"{near}, the nearest other row is another for {moved} (now rank {worst})", True


class _Tokens:
    """Whole numbers [..., length]: how many are the same before the first that is not."""

    def __init__(self) -> None:
        self._rows = self._equal = 0
        self._shortest: tuple[int, int] | None = None

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        for right, found in zip(
            plain.reshape(-1, plain.shape[-1]), got.reshape(-1, got.shape[-1]), strict=True
        ):
            same = int(np.cumprod(right == found).sum())
            self._rows += 1
            self._equal += same == len(right)
            if same < len(right) and (self._shortest is None or same < self._shortest[0]):
                self._shortest = same, len(right)

    def told(self) -> tuple[str, bool]:
        if self._shortest is None:
            return f"all {self._rows:,} rows are equal", False
        prefix = f"the shortest common prefix is {self._shortest[0]} of {self._shortest[1]} tokens"
        return f"{self._equal:,} of {self._rows:,} rows are equal, {prefix}", True


class _Audio:
    """Waveforms [..., samples]: signal to noise of the worst row, and would 16 bits keep it?"""

    def __init__(self) -> None:
        self._least = np.inf
        self._most = 0.0

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        right, found = (a.astype(np.float64, copy=False) for a in (truth, got))
        right = right.reshape(-1, right.shape[-1])
        noise = right - found.reshape(right.shape)
        for row, wrong in zip(right, noise, strict=True):
            self._least = min(self._least, decibels(float(row @ row), float(wrong @ wrong)))
        loudest = max(1.0, float(np.abs(right).max()))
        self._most = max(self._most, float(np.abs(noise).max()) / loudest)

    def told(self) -> tuple[str, bool]:
        steps = f"off by at most {self._most / (2 * HALF_STEP):.2g} steps of 16 bits"
        return f"SNR at least {self._least:.1f} dB, {steps}", self._most > HALF_STEP


def _has_nan(array: np.ndarray) -> bool:
    return any(np.isnan(wide).any() for (wide,) in blocks.wide(array))


def _finite_rows(array: np.ndarray) -> np.ndarray:
    """[rows, classes]; an infinite logit stands for a class that cannot win, or must."""
    rows = array.reshape(-1, array.shape[-1]).astype(np.float64, copy=False)
    if np.isfinite(rows).all():
        return rows
    return np.nan_to_num(rows, nan=-1e300, posinf=1e300, neginf=-1e300)


def _softmax(rows: np.ndarray) -> np.ndarray:
    found = np.exp(rows - rows.max(-1, keepdims=True))
    shares: np.ndarray = found / found.sum(-1, keepdims=True)
    return shares


def _shares(rows: np.ndarray) -> np.ndarray:
    """Rows that add up to 1 but for their rounding, so that it does not count as divergence."""
    positive = np.maximum(rows, 0.0)
    total = positive.sum(-1, keepdims=True)
    found: np.ndarray = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found


def _cosines(units: np.ndarray) -> np.ndarray:
    found: np.ndarray = units @ units.T
    np.fill_diagonal(found, -np.inf)
    return found


def _nearest(units: np.ndarray) -> np.ndarray:
    found: np.ndarray = _cosines(units).argmax(-1)
    return found


def _ranks(units: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """How many rows are nearer to each than the one that should be."""
    cosines = _cosines(units)
    at = cosines[np.arange(len(units)), nearest]
    ranks: np.ndarray = (cosines > at[:, None]).sum(-1)
    return ranks


_COMPARATORS: Mapping[str, Callable[[], Comparator]] = {
    kinds.LOGITS: partial(_Classes, _softmax),
    kinds.PROBABILITIES: partial(_Classes, _shares),
    kinds.EMBEDDINGS: _Embeddings,
    kinds.BOXES: Boxes,
    kinds.MASKS: Masks,
    kinds.TOKENS: _Tokens,
    kinds.AUDIO: _Audio,
}

_BY_ROWS = frozenset({kinds.LOGITS, kinds.PROBABILITIES, kinds.EMBEDDINGS, kinds.TOKENS})
"""Kinds of which each row along the last axis is looked at by itself."""
