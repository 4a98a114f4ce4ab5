"""Does a candidate keep what its original keeps (`toolkit.parity.invariance`)?

The original is asked both ways first. What it does not keep itself (a batch norm in training mode,
positions counted from a padded start) is no property of the model, and is not asked for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.errors import OnnxportError
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.expectation import Arrays, Expectation
from toolkit.parity.invariance import Drawn, Relation, relations, sizes_of, state_of
from toolkit.parity.judging import Judge
from toolkit.parity.metrics import decibels
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult, Invariance
from toolkit.parity.verdict import Tolerance
from toolkit.plugins import Session

_CASES = 3
"""Cases that are asked both ways."""


def relate(
    candidate: Session,
    reference: Reference,
    judge: Judge,
    results: Sequence[CaseResult],
    *,
    lossy: bool,
    seconds: float,
) -> tuple[Invariance, ...]:
    """What of it holds, for about so long. A lossy candidate is told its noise, and not judged."""
    if reference.cases:  # a recording can be asked nothing else
        return ()
    end = judge.deadline = time.perf_counter() + seconds
    asked = _Asked(candidate, reference, judge, lossy)
    for case in _chosen(reference, results):
        feeds = case.feeds(reference.signature, reference.given)
        for relation in relations(reference.signature, feeds, _drawer(case, reference)):
            if time.perf_counter() > end:
                return asked.result()
            asked.about(relation, case)
    return asked.result()


def _chosen(reference: Reference, results: Sequence[CaseResult]) -> list[Case]:
    """Of the cases with usual values, the smallest with more than one of everything."""
    signature, usual = reference.signature, ("uniform", GIVEN)
    states = {n for s in signature.inputs if s.name in state_of(signature) for n in s.shape}
    grown = states - {signature.batch}  # a past may be empty

    def order(case: Case) -> tuple[int, int]:
        few = sum(size < 3 for name, size in case.sizes if name not in grown)
        return few, prod(1 + size for _, size in case.sizes)

    return sorted((r.case for r in results if r.proven and r.case.fill in usual), key=order)[
        :_CASES
    ]


def _drawer(case: Case, reference: Reference) -> Drawn | None:
    """Inputs of other sizes than the case's, with other values."""
    if reference.signature.from_data:
        return None
    return lambda sizes: replace(
        case, sizes=tuple(sizes.items()), fill="uniform", seed=case.seed + 1, edits=()
    ).feeds(reference.signature)


class _Asked:
    """Both models, asked both ways; adds up what came."""

    def __init__(self, candidate: Session, reference: Reference, judge: Judge, lossy: bool) -> None:
        self._candidate, self._reference, self._judge = candidate, reference, judge
        self._own = Judge(reference, Tolerance())
        self._lossy = lossy
        self._found: dict[str, Invariance] = {}

    def about(self, relation: Relation, case: Case) -> None:
        sizes = sizes_of(self._reference.signature.inputs, relation.feeds)
        at = replace(case, sizes=tuple(sizes.items()))
        before = self._found.get(relation.name, Invariance(relation.name))
        try:
            plain = self._by(relation, self._reference.plain, one=True)
            again = self._by(relation, self._reference.plain, one=False)
            exact = self._reference.exact
            truth = self._by(relation, exact, one=True) if exact else plain
        except OnnxportError:  # not what the original accepts
            return
        expected = Expectation(plain, truth)
        if not self._own(at, relation.feeds, expected, again).proven:
            self._found[relation.name] = replace(before, lacking=before.lacking + 1)
            return
        try:
            got = self._by(relation, self._candidate, one=False)
            if self._lossy:
                far = _far(self._by(relation, self._candidate, one=True), got)
                found = replace(before, sqnr=min(before.sqnr, far))
            else:
                result = self._judge(at, relation.feeds, expected, got)
                found = replace(before, ratio=max(before.ratio, result.ratio))
                if not result.holds and not before.reason:
                    found = replace(found, reason=f"{relation.what}: {result.reason} ({case})")
        except OnnxportError as error:
            reason = before.reason or f"{relation.what}: {error.message} ({case})"
            found = replace(before, reason=reason)
        self._found[relation.name] = replace(found, tried=before.tried + 1)

    def _by(self, relation: Relation, session: Session, *, one: bool) -> Arrays:
        outputs = relation.one(session) if one else relation.other(session)
        return self._reference.kept(outputs, relation.feeds)

    def result(self) -> tuple[Invariance, ...]:
        return tuple(self._found.values())


def _far(one: Arrays, other: Arrays) -> float:
    """The least signal to noise ratio between the floating outputs of two ways, in dB."""
    found = [float("inf")]
    for name, array in one.items():
        if DTYPES[str(array.dtype)].kind == "f" and array.shape == other[name].shape:
            wide = array.astype(np.float64)
            noise = wide - other[name].astype(np.float64)
            found.append(decibels(float((wide**2).sum()), float((noise**2).sum())))
    return min(found)
