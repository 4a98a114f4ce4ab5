"""The verdict on one output of one case: does the candidate do what the reference does?

No tolerance is guessed. The reference is the module in float64; the yardstick is the error that
PyTorch's own float32 makes against it on the same case. A candidate holds within `factor` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.dtypes import DTYPES, epsilon, smallest_normal
from toolkit.parity.metrics import max_abs_error, scale


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
    if counted is not None:
        candidate, plain, truth = (
            np.where(counted, a, a.dtype.type(0)) for a in (candidate, plain, truth)
        )
    if DTYPES[str(plain.dtype)].kind != "f":
        return _judge_exact(output, candidate, plain, undecided)
    wrong = _wrong_class(candidate, plain, truth)
    if wrong.any():
        return _refused(output, _at(wrong, candidate, plain), "class")
    finite = np.isfinite(_wide(candidate)) & np.isfinite(_wide(plain)) & np.isfinite(truth)
    expected, got = truth[finite], _wide(candidate)[finite]
    error = max_abs_error(expected, got)
    if tolerance.explicit:
        return _judge_explicit(output, expected, got, error, tolerance)
    yardstick = max(
        max_abs_error(expected, _wide(plain)[finite]),
        tolerance.floor_ulps * epsilon(str(plain.dtype)) * scale(expected),
        smallest_normal(str(plain.dtype)),  # a runtime may take what is smaller for zero
        noise,
    )
    ratio = error / yardstick
    if ratio <= tolerance.factor:
        return Judgement(output, True, error, ratio)
    worst = np.zeros(plain.shape, bool)
    worst[finite] = np.abs(expected - got) == error
    return Judgement(output, False, error, ratio, _at(worst, candidate, truth), "value")


def _refused(output: str, reason: str, kind: str) -> Judgement:
    return Judgement(output, False, float("inf"), float("inf"), reason, kind)


def spread(truth: np.ndarray, samples: Sequence[np.ndarray]) -> float:
    """The largest finite change of an output among samples of the same shape, against `truth`."""
    with np.errstate(invalid="ignore"):
        finite = [np.abs(_wide(s) - truth) for s in samples if s.shape == truth.shape]
    return max((float(d[np.isfinite(d)].max(initial=0.0)) for d in finite), default=0.0)


def unsettled(plain: np.ndarray, samples: Sequence[np.ndarray]) -> np.ndarray:
    """Where any sample of an integer output differs from `plain`: a tie, as far as it can tell."""
    differs = np.zeros(plain.shape, bool)
    for sample in samples:
        if sample.shape == plain.shape:
            differs |= sample != plain
    return differs


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64, copy=False)


def _judge_exact(
    output: str, candidate: np.ndarray, plain: np.ndarray, undecided: np.ndarray | None
) -> Judgement:
    differs = candidate != plain
    if undecided is not None:
        differs &= ~undecided
    if not differs.any():
        return Judgement(output, True)
    reason = f"{_at(differs, candidate, plain)}; {int(differs.sum())} of {differs.size} differ"
    error = max_abs_error(plain, candidate)
    return Judgement(output, False, error, float("inf"), reason, "value")


def _judge_explicit(
    output: str, expected: np.ndarray, got: np.ndarray, error: float, tolerance: Tolerance
) -> Judgement:
    allowed = (tolerance.atol or 0.0) + (tolerance.rtol or 0.0) * np.abs(expected)
    excess = np.abs(expected - got) - allowed
    over = bool((excess > 0).any())
    limit = f"allowed atol {tolerance.atol or 0:g}, rtol {tolerance.rtol or 0:g}"
    reason = f"off by {error:.3g}, {limit}" if over else ""
    return Judgement(output, not over, error, 0.0, reason, "value" if over else "")


def _classes(array: np.ndarray) -> np.ndarray:
    """0 finite, 1 NaN, 2 +inf, 3 -inf, element by element."""
    wide = _wide(array)
    classes: np.ndarray = np.isnan(wide) * 1 + (wide == np.inf) * 2 + (wide == -np.inf) * 3
    return classes


def _wrong_class(candidate: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Where the candidate is NaN, infinite or finite and neither reference is the same."""
    got = _classes(candidate)
    wrong: np.ndarray = (got != _classes(plain)) & (got != _classes(truth))
    return wrong


def _at(mask: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> str:
    index = np.unravel_index(int(np.argmax(mask)), mask.shape) if mask.ndim else ()
    place = f" at [{', '.join(map(str, index))}]" if index else ""
    return f"is {_text(candidate[index])}, expected {_text(reference[index])}{place}"


def _text(value: np.generic) -> str:
    number = value.item()
    return f"{number:.9g}" if isinstance(number, float) else str(number)
