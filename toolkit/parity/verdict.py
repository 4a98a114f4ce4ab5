"""The verdict on one output of one case: does the candidate do what the reference does?

No tolerance is guessed. The reference is the module in float64; the yardstick is the error that
PyTorch's own float32 makes against it on the same case. A candidate holds within `factor` of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from toolkit.dtypes import DTYPES, epsilon, smallest_normal
from toolkit.parity import blocks
from toolkit.parity.metrics import max_abs_error


@dataclass(frozen=True)
class Tolerance:
    """How far is too far.

    `factor`: times the yardstick. 8: of right models the worst was 2.0, of operators without sums
    of thousands 4.8 (docs/decisions/verdict.md). `floor_ulps`: the yardstick is at least this many
    ulps of the output's largest value. `rtol` and `atol`, where given, replace both:
    |c - r| <= atol + rtol |r|.
    """

    factor: float = 8.0
    floor_ulps: float = 2.0
    rtol: float | None = None
    atol: float | None = None

    @property
    def explicit(self) -> bool:
        return self.rtol is not None or self.atol is not None


@dataclass(frozen=True)
class Judgement:
    """One output: whether it holds, its largest error and that error over the yardstick."""

    output: str
    holds: bool
    error: float = 0.0
    ratio: float = 0.0
    reason: str = ""
    kind: str = ""
    """Of a failure: `dtype`, `shape`, `class` (NaN or infinite on one side) or `value`."""
    rounding: bool = False
    """It holds on appeal: the graph is right in float64, and only the runtime's sums round more."""


def judge(
    output: str,
    candidate: np.ndarray,
    plain: np.ndarray,
    truth: np.ndarray,
    tolerance: Tolerance,
    *,
    noise: float = 0.0,
    undecided: np.ndarray | None = None,
    counted: np.ndarray | None = None,
) -> Judgement:
    """Hold `candidate` against what PyTorch returns in its own precision and in float64.

    `plain` fixes shape and dtype; `truth` is what it approximates. `noise`: the largest change of
    the output seen under changes of the input that no float32 program can be asked to resolve.
    `undecided`: positions of an integer output that the reference itself cannot tell apart.
    `counted`: the positions that are compared, where not all are.
    """
    if candidate.dtype != plain.dtype:
        return _refused(output, f"is {candidate.dtype}, expected {plain.dtype}", "dtype")
    if candidate.shape != plain.shape:
        came, expected = list(candidate.shape), list(plain.shape)
        return _refused(output, f"has shape {came}, expected {expected}", "shape")
    if DTYPES[str(plain.dtype)].kind != "f":
        return _judge_exact(output, _Side([candidate, plain], counted), undecided)
    side = _Side([candidate, plain, truth], counted)
    wrong = blocks.first((_wrong_class(*found) for found in side.wide()), side.shape)
    if wrong is not None:
        return _refused(output, side.told(wrong), "class")
    extremes = [_extremes(*blocks.finite(*found)) for found in side.wide()]
    error, own, size = (max(found) for found in zip(*extremes, strict=True))
    if tolerance.explicit:
        return _judge_explicit(output, side, error, tolerance)
    yardstick = max(
        own,
        tolerance.floor_ulps * epsilon(str(plain.dtype)) * size,
        smallest_normal(str(plain.dtype)),  # a runtime may take what is smaller for zero
        noise,
    )
    ratio = error / yardstick
    if ratio <= tolerance.factor:
        return Judgement(output, True, error, ratio)
    worst = blocks.first((_is_off_by(error, *found) for found in side.wide()), side.shape)
    assert worst is not None
    return Judgement(output, False, error, ratio, side.told(worst, of=2), "value")


class _Side:
    """Arrays of one shape side by side, the candidate first, in pieces (`toolkit.parity.blocks`).

    Where not all positions are compared, the others are 0. Raises ValueError where shapes differ.
    """

    def __init__(self, arrays: Sequence[np.ndarray], counted: np.ndarray | None) -> None:
        if len({a.shape for a in arrays}) > 1:
            raise ValueError(f"shapes differ: {', '.join(str(a.shape) for a in arrays)}")
        self._arrays, self._counted, self.shape = arrays, counted, arrays[0].shape
        if counted is not None:
            self.shape = np.broadcast_shapes(counted.shape, self.shape)
            self._arrays = [np.broadcast_to(a, self.shape) for a in arrays]
            self._counted = np.broadcast_to(counted, self.shape)

    def pieces(self, *more: np.ndarray) -> Iterator[list[np.ndarray]]:
        """With them those of `more`, as they are."""
        for place in blocks.places(self.shape):
            found = [a[place] for a in self._arrays]
            if self._counted is not None:
                at = self._counted[place]
                found = [np.where(at, a, a.dtype.type(0)) for a in found]
            yield [*found, *(a[place] for a in more)]

    def wide(self) -> Iterator[list[np.ndarray]]:
        for found in self.pieces():
            yield [_wide(a) for a in found]

    def told(self, index: tuple[int, ...], *, of: int = 1) -> str:
        """What came at a place, and what should have: that of array number `of`."""
        place = f" at [{', '.join(map(str, index))}]" if index else ""
        came, due = self._arrays[0][index], self._arrays[of][index]
        return f"is {_text(came)}, expected {_text(due)}{place}"


def _refused(output: str, reason: str, kind: str) -> Judgement:
    return Judgement(output, False, float("inf"), float("inf"), reason, kind)


def spread(truth: np.ndarray, samples: Sequence[np.ndarray]) -> float:
    """The largest finite change of an output among samples of the same shape, against `truth`."""
    found = [0.0]
    with np.errstate(invalid="ignore"):
        for sample in samples:
            if sample.shape == truth.shape:
                for one, other in blocks.wide(sample, truth):
                    (moved,) = blocks.finite(np.abs(one - other))
                    found.append(float(moved.max(initial=0.0)))
    return max(found)


def unsettled(plain: np.ndarray, samples: Sequence[np.ndarray]) -> np.ndarray:
    """Where any sample of an integer output differs from `plain`: a tie, as far as it can tell."""
    differs = np.zeros(plain.shape, bool)
    for sample in samples:
        if sample.shape == plain.shape:
            differs |= sample != plain
    return differs


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64, copy=False)


def _extremes(got: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """The largest errors of a candidate and of PyTorch's own precision, and the largest number."""
    error, own = (np.abs(truth - a).max(initial=0.0) for a in (got, plain))
    return float(error), float(own), float(np.abs(truth).max(initial=0.0))


def _is_off_by(error: float, got: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> np.ndarray:
    finite = np.isfinite(got) & np.isfinite(plain) & np.isfinite(truth)
    with np.errstate(invalid="ignore"):
        found: np.ndarray = finite & (np.abs(truth - got) == error)
    return found


def _judge_exact(output: str, side: _Side, undecided: np.ndarray | None) -> Judgement:
    ties = () if undecided is None else (np.broadcast_to(undecided, side.shape),)

    def differs() -> Iterator[np.ndarray]:
        for got, plain, *tied in side.pieces(*ties):
            yield np.logical_and(got != plain, ~tied[0]) if tied else got != plain

    count = sum(int(found.sum()) for found in differs())
    at = blocks.first(differs(), side.shape)
    if at is None:
        return Judgement(output, True)
    reason = f"{side.told(at)}; {count} of {prod(side.shape)} differ"
    error = max(max_abs_error(plain, got) for got, plain in side.pieces())
    return Judgement(output, False, error, float("inf"), reason, "value")


def _judge_explicit(output: str, side: _Side, error: float, tolerance: Tolerance) -> Judgement:
    over = False
    for found in side.wide():
        got, _, expected = blocks.finite(*found)
        allowed = (tolerance.atol or 0.0) + (tolerance.rtol or 0.0) * np.abs(expected)
        over |= bool((np.abs(expected - got) - allowed > 0).any())
    limit = f"allowed atol {tolerance.atol or 0:g}, rtol {tolerance.rtol or 0:g}"
    reason = f"off by {error:.3g}, {limit}" if over else ""
    return Judgement(output, not over, error, 0.0, reason, "value" if over else "")


def _classes(array: np.ndarray) -> np.ndarray:
    """0 finite, 1 NaN, 2 +inf, 3 -inf, element by element."""
    classes: np.ndarray = np.isnan(array) * 1 + (array == np.inf) * 2 + (array == -np.inf) * 3
    return classes


def _wrong_class(candidate: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Where the candidate is NaN, infinite or finite and neither reference is the same."""
    if np.isfinite(candidate).all() and np.isfinite(plain).all():
        return np.zeros(candidate.shape, bool)
    got = _classes(candidate)
    wrong: np.ndarray = (got != _classes(plain)) & (got != _classes(truth))
    return wrong


def _text(value: np.generic) -> str:
    number = value.item()
    return f"{number:.9g}" if isinstance(number, float) else str(number)
