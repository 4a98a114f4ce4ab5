"""Run a candidate beside its reference over the cases of a plan, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.errors import OnnxportError
from toolkit.parity import blocks, shrinking, special
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.comparators import Meanings
from toolkit.parity.digest import digest
from toolkit.parity.ending import TOLD, ending
from toolkit.parity.expectation import Known
from toolkit.parity.fidelity import Tally
from toolkit.parity.judging import Judge
from toolkit.parity.measures import Measuring
from toolkit.parity.pacing import Clock, Room
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.plugins import Session

_FAINT = 1e-20
"""Float outputs that never exceed this carry nothing to compare (random MobileNets: 1e-32)."""

TOO_LARGE = "cases are put off whose outputs would not fit the memory that is free"


@dataclass
class Evidence:
    """What a run gathers. `low` and `high` are the extremes of each output over all cases."""

    meanings: Meanings
    """Of the cases with values from their whole range."""
    results: list[CaseResult] = field(default_factory=list)
    unreached: list[Case] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    """Of the same cases: what a lossy candidate is judged by."""
    measuring: Measuring = field(default_factory=Measuring)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    floating: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    held: int = 0
    """Bytes of the outputs of the last case."""
    varied: bool = False
    """Did two cases of the same sizes give different outputs?"""
    first: dict[tuple[tuple[str, int], ...], bytes] = field(default_factory=dict)
    """Of the outputs of the first case of each size, a digest, until they varied."""

    def see(self, outputs: Mapping[str, np.ndarray], case: Case | None = None) -> None:
        """What the reference returned, of a `case` with values that its sizes do not tell."""
        if case and not self.varied:
            found = digest(outputs)
            self.varied = self.first.setdefault(case.sizes, found) != found
        for name, array in outputs.items():
            self.floating[name] = DTYPES[str(array.dtype)].kind == "f"
            for (wide,) in blocks.wide(array):
                (kept,) = blocks.finite(wide)
                if kept.size:
                    self.low[name] = min(self.low.get(name, np.inf), float(kept.min()))
                    self.high[name] = max(self.high.get(name, -np.inf), float(kept.max()))

    @property
    def scales(self) -> dict[str, float]:
        return {n: max(abs(self.low[n]), abs(self.high[n])) for n in self.high}

    def vacuous(self) -> list[str]:
        """Why the reference tells nothing: all outputs constant, or one fainter than noise.

        Nothing is said where a case failed: that is told, and the run may have ended at it.
        """
        if not self.results or not all(r.holds for r in self.results):
            return []
        if all(self.low.get(n) == self.high.get(n) for n in self.floating):
            return ["vacuous: the reference returns the same number everywhere, whatever it is fed"]
        faint = [n for n, s in self.scales.items() if self.floating[n] and 0 < s < _FAINT]
        return [
            f"vacuous: '{n}' never exceeds {self.scales[n]:.1g} in the reference" for n in faint
        ]


def compare(
    candidate: Session,
    reference: Reference,
    judge: Judge,
    cases: Sequence[Case],
    *,
    budget: float,
    modest: float = inf,
    fail_fast: bool = False,
    measured: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evidence:
    """Run the cases in order for at most about `budget` seconds, `modest` once `ENOUGH` are done.

    The second has its time in any case where it has other sizes than the first: a file that holds
    at one shape is what every exporter writes. A case that would by the look of the smaller ones
    not fit the rest of the budget, or the memory that is free, is put off to `unreached`; of memory
    a note tells. Without `measured` there is the verdict alone, and nothing of how far outputs are
    off or what that means. Raises InputError where the reference itself refuses a case.
    """
    evidence = Evidence(Meanings(reference.signature))
    clock = Clock(budget, modest)
    judge.deadline = clock.end
    room = Room()
    for number, case in enumerate(cases):
        volume, known = case.volume(reference.signature), reference.known.get(case)
        done = len(evidence.results)
        alone = done == 1 and case.sizes != evidence.results[0].case.sizes
        if done and not alone and not clock.allows(volume, done, known is not None):
            evidence.unreached.append(case)
            continue
        if not room.allows(volume):
            evidence.unreached.append(case)
            evidence.notes = [TOO_LARGE]
            continue
        start = time.perf_counter()
        usual = clock.expects(volume)
        result = _compared(candidate, reference, judge, case, known, evidence, usual, measured)
        if result is None:
            continue
        seconds = time.perf_counter() - start + (known.seconds if known else 0.0)
        clock.record(volume, seconds)
        room.record(volume, evidence.held)
        evidence.results.append(replace(result, seconds=seconds))
        progress(number + 1, len(cases))
        if fail_fast and not result.holds:
            break
    evidence.notes += [
        f"{TOLD.format(fill)}: nothing is compared there" for fill in reference.endless
    ]
    return evidence


def _compared(
    candidate: Session,
    reference: Reference,
    judge: Judge,
    case: Case,
    known: Known | None,
    evidence: Evidence,
    usual: float,
    measured: bool,
) -> CaseResult | None:
    """One case, whose arrays are gone before those of the next are made. None for NaN that the
    original does not take or get over: there is nothing to compare. `usual`: seconds that it takes.
    """
    feeds = known.feeds if known else case.feeds(reference.signature, reference.given)
    try:
        with ending(reference, case, usual):
            expected = reference.expected(known) if known else reference.expect(feeds)
    except OnnxportError:
        if case.fill in special.SPECIAL:
            return None
        raise
    evidence.held = sum(a.nbytes for a in expected.plain.values())
    if case.fill not in special.SPECIAL:
        evidence.see(expected.plain, case)
    try:
        got = reference.kept(candidate.run(feeds), feeds)
    except OnnxportError as error:
        refused = special.REFUSED if case.fill in special.SPECIAL else ""
        return CaseResult(case, problem=error.message, excused=refused)
    result = judge(case, feeds, expected, got)
    if not measured or result.excused:
        return result
    if case.fill not in special.SPECIAL:
        evidence.measuring.add(result, expected, got)
    if case.fill in ("uniform", GIVEN):
        evidence.meanings.add(expected, got)
        if result.proven:
            evidence.tally.add(expected.plain, got)
    return result


def smallest(
    candidate: Session,
    reference: Reference,
    judge: Judge,
    failure: CaseResult,
    *,
    seconds: float,
) -> CaseResult:
    """The simplest case found that fails as `failure` does, within so much time."""
    best = failure
    end = judge.deadline = time.perf_counter() + seconds

    def fails(case: Case) -> bool:
        nonlocal best
        if time.perf_counter() > end:
            return False
        try:
            feeds = case.feeds(reference.signature, reference.given)
            expected = reference.expect(feeds)
        except OnnxportError:  # simpler, and not what the original accepts
            return False
        try:
            got = reference.kept(candidate.run(feeds), feeds)
            found = judge(case, feeds, expected, got)
        except OnnxportError as error:
            found = CaseResult(case, problem=error.message)
        if not shrinking.alike(failure, found):
            return False
        best = found
        return True

    case = shrinking.shrink(failure.case, reference.signature, fails, reference.given)
    return replace(best, case=case)
