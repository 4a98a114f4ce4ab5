"""One case before the judge, with appeal: is it the file that is off, or only the rounding?

1. The outputs are held to the yardstick of the case: PyTorch's own float32 error.
2. A near miss is held to how far neighbours of the input go that float32 cannot tell apart. Where
   they go so far that half of the digits are noise, the weights are moved by an ulp as well: what
   lies within that is neither a difference nor proven.
3. If it still fails, the file's graph is evaluated in float64. Where that is right, the file is
   right, and the runtime is held to the backward error of plain summation: n terms added one by
   one are the exact sum of terms that are each off by at most n/2 ulps (Higham, Accuracy and
   Stability of Numerical Algorithms, 4.2). Right files need this: ONNX Runtime's log-sum-exp over
   50,000 numbers is off by 75 times the yardstick (docs/decisions/verdict.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import numpy as np

from toolkit.artifact import Declared
from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import OnnxportError
from toolkit.examples import flushed
from toolkit.parity import special
from toolkit.parity.cases import Case
from toolkit.parity.conditioning import sums, unstable
from toolkit.parity.declared import output_problems
from toolkit.parity.expectation import Arrays, Expectation, Noise
from toolkit.parity.metrics import scale
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.parity.valid import suspects
from toolkit.parity.verdict import Judgement, Tolerance, judge, spread
from toolkit.plugins import Session

_HOPELESS = 1e6
"""An error this many times the yardstick is not asked about again: no rounding explains it."""

_LOST = 3
"""After so many lost appeals the file is known to be wrong, and the rest is not worth the time."""

ILL_CONDITIONED = (
    "ill-conditioned here, one ulp of input or weights moves what PyTorch returns as far"
)

TIED = (
    "of equal numbers PyTorch's topk takes any, ONNX's the first: where only that differs, the file"
    " is held to the original with a topk that takes the first"
)

UNSHAPED = "ill-conditioned here, what PyTorch returns has another shape in float64"

BLANK = "no position of it means anything"
DROWNED = "ill-conditioned here, the error of PyTorch itself is as large as what it returns"

INTERNAL = (
    "off by no more than plain summation is, and the graph cannot be heard in float64: it has"
    " operators that are internal to one runtime"
)

_FORM = ("dtype", "shape")


class Hearing(NamedTuple):
    """A case before the judge: what was fed, what is expected, what came."""

    case: Case
    feeds: Arrays
    expected: Expectation
    got: Arrays


class Judge:
    """Judges cases of one candidate against one reference.

    `exact`: the candidate's graph in float64, or None where it cannot be evaluated. `declared`:
    what the file says of its outputs. `ordered`: does the candidate order numbers, or cast them to
    integers? Asked where NaN comes in (`toolkit.parity.special`). `internal`: has it operators
    of one runtime that nothing else evaluates? Its near misses do not count. `appeals`: so many may
    be lost.
    """

    def __init__(
        self,
        reference: Reference,
        tolerance: Tolerance,
        *,
        exact: Session | None = None,
        declared: tuple[Declared, ...] = (),
        ordered: Callable[[], bool] = lambda: False,
        internal: Callable[[], bool] = lambda: False,
        appeals: int = _LOST,
    ) -> None:
        self._appeals = appeals
        self._reference, self._tolerance = reference, tolerance
        self._ordered, self._internal = ordered, internal
        self._exact, self._declared = exact, declared
        self._lost = self._steady = 0
        self.deadline = inf
        """When (of time.perf_counter) neighbours beyond the first ones are no longer asked."""

    def __call__(
        self, case: Case, feeds: Arrays, expected: Expectation, got: Mapping[str, np.ndarray]
    ) -> CaseResult:
        """The verdict on what a candidate returned for a case."""
        it = Hearing(case, feeds, expected, got)
        result = self._heard(it)
        if not result.holds:
            return replace(result, only_where=self._only_where(it, result))
        if self._is_blank(feeds):
            return replace(result, excused=BLANK)
        drowned = result.proven and not self._tolerance.explicit and self._drowned(expected)
        return replace(result, excused=DROWNED) if drowned else result

    def _is_blank(self, feeds: Arrays) -> bool:
        masked = dict(self._reference.signature.valid)
        names = {s.name for s in self._reference.signature.outputs}
        return (
            bool(masked)
            and names <= masked.keys()
            and not any(feeds[mask].any() for mask in masked.values())
        )

    def _only_where(self, it: Hearing, result: CaseResult) -> str:
        """The mask whose zeros are the only positions that fail, if there is one."""
        signature = self._reference.signature
        failing = {j.output for j in result.judgements if not j.holds}
        if result.problem or signature.valid:
            return ""
        for mask, counted in suspects(signature, it.feeds).items():
            if failing <= counted.keys():
                again = self._judged(it.got, it.expected, None, counted)
                if all(j.holds for j in again if j.output in failing):
                    return mask
        return ""

    def _heard(self, it: Hearing) -> CaseResult:
        if missing := sorted(set(it.expected.plain) ^ set(it.got)):
            text = f"'{missing[0]}' is an output of one and not of the other"
            return CaseResult(it.case, problem=text)
        promises = output_problems(self._declared, it.got, dict(it.case.sizes))
        problem = promises[0] if promises else ""
        if unlike := _unlike(it.expected):
            judgements = self._judged(it.got, _as_one(it, unlike))
            right = not problem and all(j.holds for j in judgements)
            return CaseResult(it.case, judgements, problem, excused=UNSHAPED if right else "")
        judgements = self._judged(it.got, it.expected)
        if it.case.fill in special.SPECIAL:
            return self._at_special(it, judgements, problem)
        excused = ""
        if not self._tolerance.explicit:
            judgements, excused = self._reheard(it, judgements)
        return CaseResult(it.case, judgements, problem, excused="" if problem else excused)

    def _at_special(
        self, it: Hearing, judgements: tuple[Judgement, ...], problem: str
    ) -> CaseResult:
        if problem or all(j.holds for j in judgements):
            return CaseResult(it.case, judgements, problem)
        noise = self._noise(it)
        judgements = self._judged(it.got, it.expected, noise)
        if all(j.holds for j in judgements) or any(j.kind in _FORM for j in judgements):
            return CaseResult(it.case, judgements)
        if self._is_ill_conditioned(it, noise, judgements):
            return CaseResult(it.case, judgements, excused=ILL_CONDITIONED)
        excused = special.excuse(
            it.case.fill,
            it.feeds,
            it.expected,
            it.got,
            reference=self._reference,
            judged=lambda found, held, counted: self._judged(found, held, noise, counted),
            graph=lambda: self._in_dtypes(self._run_exact(it.feeds), it.expected),
            ordered=self._ordered,
        )
        if not excused and it.case.fill in special.FINITE and not self._tolerance.explicit:
            judgements, excused = self._heard_at_zero(it, judgements)
        return CaseResult(it.case, judgements, excused=excused)

    def _heard_at_zero(
        self, it: Hearing, judgements: tuple[Judgement, ...]
    ) -> tuple[tuple[Judgement, ...], str]:
        """The same outputs as those of zeros: a denormal moved by an ulp moves nothing, and so the
        rounding of all that is added to it would have no yardstick."""
        feeds = flushed(it.feeds)
        try:
            expected = self._reference.expect(feeds)
        except OnnxportError:
            return judgements, ""
        there = it._replace(feeds=feeds, expected=expected)
        at_zero, excused = self._reheard(there, self._judged(it.got, expected))
        # What is said of a file that differs is what it was given, and not zeros.
        return (at_zero, excused) if excused or all(j.holds for j in at_zero) else (judgements, "")

    def _noise(self, it: Hearing, **ways: Any) -> Noise:
        return self._reference.noise(it.case, it.feeds, it.expected, end=self.deadline, **ways)

    def _in_dtypes(self, graph: Arrays | None, expected: Expectation) -> Arrays | None:
        """What a graph gave in float64, rounded to the outputs' own precision."""
        if graph is None or not expected.plain.keys() <= graph.keys():
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return {n: graph[n].astype(a.dtype) for n, a in expected.plain.items()}

    def _reheard(
        self, it: Hearing, judgements: tuple[Judgement, ...]
    ) -> tuple[tuple[Judgement, ...], str]:
        """The judgements, and why they do not count where they do not."""
        first = self._taking_first(it, judgements)
        if first and (tied := self._heard_tied(it, first)):
            return tied, ""
        faint = _faint(it.feeds)
        doubtful = any(_is_doubtful(j, it, faint) for j in judgements)
        if self._reference.has_truth and not doubtful:
            return self._heard_swaying(it, judgements, first)
        noise = self._noise(it)
        judgements = self._judged(it.got, it.expected, noise)
        if any(_is_tie(j, it) for j in judgements):
            noise = self._reference.tied(*it, noise, self.deadline)
            judgements = self._judged(it.got, it.expected, noise)
        if self._is_ill_conditioned(it, noise, judgements):
            return judgements, ILL_CONDITIONED
        if self._lost < self._appeals and any(_is_doubtful(j, it, faint) for j in judgements):
            judgements = self._appealed(it, noise, judgements)
            if self._exact is None and self._internal():
                summed = all(j.holds for j in self._as_sums(it))
                return judgements, INTERNAL if summed else ""
        return judgements, ""

    def _taking_first(self, it: Hearing, judgements: tuple[Judgement, ...]) -> Expectation | None:
        """What the original gives with its ties as ONNX has them, where that may explain it."""
        if all(j.holds for j in judgements) or any(j.kind in _FORM for j in judgements):
            return None
        return self._reference.of_first(it.feeds)

    def _heard_tied(self, it: Hearing, first: Expectation) -> tuple[Judgement, ...]:
        """The judgements where they hold so; else none."""
        within = self._judged(it.got, first)
        if not all(j.holds for j in within):
            return ()
        if TIED not in self._reference.notes:
            self._reference.notes.append(TIED)
        return within

    def _heard_swaying(
        self, it: Hearing, judgements: tuple[Judgement, ...], first: Expectation | None
    ) -> tuple[tuple[Judgement, ...], str]:
        """Far off, but so may be a neighbour of the input: where PyTorch picks by an order, equal
        numbers that are rounded in another way change places. The graph itself must be right."""
        failing = {j.output for j in judgements if not j.holds}
        if not failing or self._steady >= _LOST or any(j.kind in _FORM for j in judgements):
            return judgements, ""
        moved = self._reference.swayed(it.case, it.feeds, it.expected, failing, self.deadline)
        within = self._judged(it.got, it.expected, Noise(moved, {})) if moved else judgements
        if all(j.holds for j in within) and self._is_right_on_paper(it, first):
            return within, ILL_CONDITIONED
        self._steady += 1
        return judgements, ""

    def _is_right_on_paper(self, it: Hearing, first: Expectation | None) -> bool:
        """Does the graph give in float64 what the original gives there, with its ties or ONNX's?

        Float64 rounds as well, and then what is equal by chance is ordered by it: so it may be
        right where all that is but 0 was moved apart. What is 0 is it by no chance: a comparison
        with it that is another is wrong.
        """
        original = self._reference
        if self._exact is None:
            return False
        if self._agrees(it) or (first and self._agrees(it._replace(expected=first))):
            return True
        try:
            return all(
                self._agrees(it._replace(feeds=feeds, expected=original.expect_once(feeds)))
                for feeds in original.untied(it.feeds, it.case.seed)
            )
        except OnnxportError:  # just outside of what the model accepts
            return False

    def _agrees(self, it: Hearing) -> bool:
        """Are the graph and the original the same in float64, as far as the outputs can tell?"""
        found = self._in_dtypes(self._run_exact(it.feeds), it.expected)
        truth = self._reference.in_float64(it.feeds, it.expected)
        due = self._in_dtypes(truth, it.expected)
        if found is None or due is None or truth is None:
            return False
        return all(j.holds for j in self._judged(found, Expectation(due, truth)))

    def _as_sums(self, it: Hearing) -> tuple[Judgement, ...]:
        """Held to the backward error of plain summation."""
        ulps, drift = sums(self._reference.terms(it.feeds), self._tolerance.factor)
        backward = self._noise(it, ulps=ulps, drift=drift)
        return self._judged(it.got, it.expected, backward)

    def _drowned(self, expected: Expectation) -> bool:
        """Is PyTorch's own error in every floating output such that zeros would hold as well?"""
        floating = [n for n, a in expected.plain.items() if DTYPES[str(a.dtype)].kind == "f"]
        scales = {n: scale(expected.truth[n]) for n in floating}
        return any(scales.values()) and all(
            self._tolerance.factor * spread(expected.truth[n], [expected.plain[n]]) >= size
            for n, size in scales.items()
        )

    def _is_ill_conditioned(
        self, it: Hearing, noise: Noise, judgements: tuple[Judgement, ...]
    ) -> bool:
        failing = {j.output for j in judgements if not j.holds}
        if not failing & unstable(it.expected, noise):
            return False
        further = self._noise(it, weights=True)
        return all(j.holds for j in self._judged(it.got, it.expected, further))

    def _appealed(
        self, it: Hearing, noise: Noise, judgements: tuple[Judgement, ...]
    ) -> tuple[Judgement, ...]:
        feeds, expected = it.feeds, it.expected
        rounded = self._in_dtypes(self._run_exact(feeds), expected)
        truth = self._reference.in_float64(feeds, expected)
        if rounded is None or truth is None:
            return judgements
        on_paper = self._judged(rounded, replace(expected, truth=truth), noise)
        if not all(j.holds for j in on_paper):
            self._lost += 1
            return tuple(
                j if j.holds or p.holds else replace(j, reason=f"{j.reason} (in float64 as well)")
                for j, p in zip(judgements, on_paper, strict=True)
            )
        return tuple(
            replace(j, holds=True, rounding=True)
            if excused.holds and not j.holds
            else j
            if j.holds
            else replace(
                j, reason=f"{j.reason} (the graph is right in float64: the runtime is off)"
            )
            for j, excused in zip(judgements, self._as_sums(it), strict=True)
        )

    def _judged(
        self,
        got: Arrays,
        expected: Expectation,
        noise: Noise | None = None,
        counted: Mapping[str, np.ndarray] | None = None,
    ) -> tuple[Judgement, ...]:
        return tuple(
            judge(
                name,
                got[name],
                plain,
                expected.truth[name],
                self._tolerance,
                noise=max(noise.spread[name] if noise else 0.0, expected.noise.get(name, 0.0)),
                undecided=noise.undecided.get(name) if noise else None,
                counted=counted.get(name) if counted else None,
            )
            for name, plain in expected.plain.items()
        )

    def _run_exact(self, feeds: Arrays) -> dict[str, np.ndarray] | None:
        if self._exact is None:
            return None
        try:
            return dict(self._reference.kept(self._exact.run(feeds), feeds))
        except OnnxportError:
            self._exact = None
            return None


def _unlike(expected: Expectation) -> set[str]:
    """Outputs of which float64 has other shapes: how many there are is decided by a rounding."""
    return {n for n, a in expected.plain.items() if a.shape != expected.truth[n].shape}


def _as_one(it: Hearing, unlike: set[str]) -> Expectation:
    """What PyTorch gives in its own precision, or what it gives in float64 where that is the shape
    that came: either is right."""
    plain, truth = it.expected.plain, it.expected.truth
    if all(it.got[n].shape == truth[n].shape for n in unlike):
        plain = {n: truth[n].astype(a.dtype) for n, a in plain.items()}
    return replace(it.expected, plain=plain, truth=plain)


def _faint(feeds: Arrays) -> float:
    """Half an ulp of the largest number that is fed: where terms cancel, that much may be left.

    The covariance of equal rows is 0 in float64, and the square of a rounding elsewhere. Equal
    numbers normalized are 0, and a rounding over the root of epsilon elsewhere: what is left there
    is no yardstick.
    """
    floats = [a for a in feeds.values() if DTYPES[str(a.dtype)].kind == "f"]
    return max((epsilon(str(a.dtype)) / 2 * scale(a) for a in floats), default=0)


def _is_tie(judgement: Judgement, it: Hearing) -> bool:
    """Whole numbers that are others: which of equal ones comes first, perhaps."""
    whole = DTYPES[str(it.got[judgement.output].dtype)].kind != "f"
    return whole and judgement.kind == "value"


def _is_doubtful(judgement: Judgement, it: Hearing, faint: float) -> bool:
    """Worth asking how far the reference itself can tell: a near miss, or whole numbers (ties)."""
    if judgement.holds:
        return False
    whole = DTYPES[str(it.got[judgement.output].dtype)].kind != "f"
    near = judgement.ratio < _HOPELESS or judgement.error <= faint
    return whole or near or scale(it.expected.truth[judgement.output]) <= faint
