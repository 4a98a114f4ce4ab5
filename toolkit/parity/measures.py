"""How far each output is off over all cases of a check, in every usual measure; case by case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.parity import blocks, metrics
from toolkit.parity.expectation import Expectation
from toolkit.parity.results import CaseResult, Measures

TOP = 5
"""The k of top-k agreement: as in ImageNet's top-5."""


@dataclass
class _Sums:
    signal: float = 0.0
    noise: float = 0.0
    dot: float = 0.0
    other: float = 0.0
    rows: int = 0
    first: float = 0.0
    several: float = 0.0

    def add(self, r: np.ndarray, c: np.ndarray, off: np.ndarray, *, ranked: bool) -> None:
        with np.errstate(over="ignore"):
            self.signal += _dot(r, r)
            self.noise += _dot(off, off)
            self.dot += _dot(r, c)
            self.other += _dot(c, c)
        if ranked:
            rows = r.size // r.shape[-1]
            self.rows += rows
            counts = (1, TOP) if r.shape[-1] > TOP else (1,)
            first, *several = metrics.top_agreement(r, c, counts)
            self.first += rows * first
            self.several += rows * sum(several)


@dataclass
class _Worst:
    """The largest errors of one case, and the place of the largest among its elements."""

    ulps: float = 0.0
    absolute: float = 0.0
    relative: float = 0.0
    place: int = 0
    seen: int = 0

    def add(self, r: np.ndarray, off: np.ndarray, dtype: str) -> None:
        self.ulps = max(self.ulps, metrics.max_ulps(off, r, dtype))
        self.relative = max(self.relative, metrics.max_rel(off, r))
        if off.size and (error := float(off.max())) > self.absolute:
            self.place = self.seen + int(off.argmax())
            self.absolute = error
        self.seen += off.size

    def index(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(self.place, shape))


class Measuring:
    """Adds up what `Measures` needs, in constant memory, against the float64 of the original."""

    def __init__(self) -> None:
        self._found: dict[str, Measures] = {}
        self._sums: dict[str, _Sums] = {}

    def add(self, result: CaseResult, expected: Expectation, got: Mapping[str, np.ndarray]) -> None:
        """Take in one case, at the positions that are finite on both sides."""
        ratios = {j.output: j.ratio for j in result.judgements}
        for name, plain in expected.plain.items():
            found = got.get(name)
            if found is None or found.shape != plain.shape or found.dtype != plain.dtype:
                continue
            kind = DTYPES[str(plain.dtype)].kind
            if kind == "f" and plain.size and name in ratios:
                self._add(name, str(result.case), ratios[name], plain, expected.truth[name], found)

    def _add(
        self,
        name: str,
        case: str,
        ratio: float,
        plain: np.ndarray,
        truth: np.ndarray,
        found: np.ndarray,
    ) -> None:
        before, sums = self._found.get(name), self._sums.setdefault(name, _Sums())
        dtype, ranked = str(plain.dtype), plain.ndim > 1 and plain.shape[-1] > 1
        readings = [metrics.probabilities_of(a) for a in (plain, found)] if ranked else []
        worst, kl = _Worst(), None
        for own, right, came in blocks.wide(plain, truth, found, whole=min(1, plain.ndim)):
            finite = np.isfinite(right) & np.isfinite(came)
            r, c = right, came
            if not finite.all():
                r, c = np.where(finite, right, 0.0), np.where(finite, came, 0.0)
            off = metrics.errors(r, c)
            sums.add(r, c, off, ranked=ranked)
            worst.add(r, off, dtype)
            match readings:
                case [of_own, of_found] if of_own and of_found:
                    kl = max(metrics.kl_divergence(of_own(own), of_found(came)), kl or 0.0)
        if kl is not None and before:
            kl = max(kl, before.kl or 0.0)
        leads = before is None or ratio > before.ratio
        self._found[name] = Measures(
            name,
            max(ratio, before.ratio if before else 0.0),
            max(worst.ulps, before.ulps if before else 0.0),
            max(worst.absolute, before.max_abs if before else 0.0),
            max(worst.relative, before.max_rel if before else 0.0),
            metrics.decibels(sums.signal, sums.noise),
            _cosine(sums),
            sums.first / sums.rows if ranked else None,
            sums.several / sums.rows if ranked and plain.shape[-1] > TOP else None,
            kl,
            case if leads or before is None else before.worst_case,
            worst.index(plain.shape) if leads or before is None else before.worst_index,
        )

    def result(self) -> tuple[Measures, ...]:
        return tuple(self._found.values())


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Without an array of the products, and on one thread: the same last bits every time."""
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))


def _cosine(sums: _Sums) -> float:
    lengths = float(np.sqrt(sums.signal) * np.sqrt(sums.other))
    return sums.dot / lengths if lengths else float(sums.noise == 0.0)
