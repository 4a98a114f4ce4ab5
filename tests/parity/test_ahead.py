"""What is asked of the original before there is a candidate, and not asked again."""

from contextlib import nullcontext

import numpy as np
import pytest

from tests.parity.functions import Computes
from toolkit.errors import InputError
from toolkit.parity import ahead
from toolkit.parity.ahead import ask_ahead
from toolkit.parity.cases import Case, plan
from toolkit.parity.compare import compare
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.repeating import AGAIN, CASES, Repeating, Ways
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[batch, 3] in 0..1\nwhere batch = 1..16")
PLANNED = plan(SIGNATURE, limit=20)


class Original:
    """Doubles its input, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        session = Computes(SIGNATURE, self)
        self.reference = Reference(session, session)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.asked += 1
        if len(x) == 13:
            raise InputError("13 rows")
        return x * 2


class Repeats(Computes):
    def ways(self) -> Ways:
        return {AGAIN: nullcontext}


def test_of_a_known_case_the_original_is_not_asked_again() -> None:
    original = Original()
    for _ in ask_ahead(original.reference, PLANNED, 10.0):
        pass
    accepted = [c for c in PLANNED if c.volume(SIGNATURE) != 13 * 3]
    assert {*original.reference.known} == {*accepted}
    before = original.asked
    evidence = compare(
        Computes(SIGNATURE, lambda x: x * 2),
        original.reference,
        Judge(original.reference, Tolerance()),
        accepted,
        budget=60.0,
    )
    assert [r.case for r in evidence.results] == accepted
    assert all(r.holds for r in evidence.results)
    assert original.asked == before


def test_what_is_repeated_is_run_again_and_its_truth_is_kept() -> None:
    exact, plain = Original(), Original()
    reference = Reference(Repeats(SIGNATURE, plain), Computes(SIGNATURE, exact))
    cases = [c for c in PLANNED if c.volume(SIGNATURE) != 13 * 3]
    for _ in ask_ahead(reference, cases, 10.0):
        pass
    asked = exact.asked, plain.asked
    judge = Judge(reference, Tolerance())
    compare(Computes(SIGNATURE, lambda x: x * 2), reference, judge, cases, budget=60.0)
    assert exact.asked == asked[0]
    assert plain.asked == asked[1] + 2 * CASES  # as it is, and once more


def test_long_cases_are_asked_first_so_that_nobody_waits_for_them() -> None:
    original = Original()
    original.reference.repeating = Repeating(original.reference.plain, most=0)
    sizes = (4, 1, 5, 2, 16, 3, 9)
    cases = [Case((("batch", n),), "uniform", 0) for n in sizes]
    for _ in ask_ahead(original.reference, cases, 10.0):
        pass
    assert [dict(c.sizes)["batch"] for c in original.reference.known] == [4, 1, 5, 16, 9, 3, 2]


def test_a_case_without_room_does_not_end_the_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    row = 3 * 4 * 3
    monkeypatch.setattr(ahead, "ROOM", 20 * row)
    original = Original()
    cases = [Case((("batch", n),), "uniform", n) for n in (16, 15, 14, 2, 1)]
    for _ in ask_ahead(original.reference, [*PLANNED[:CASES], *cases], 10.0):
        pass
    known = [c for c in original.reference.known if c in cases]
    assert known == [cases[0], cases[3], cases[4]]


def test_a_candidate_is_judged_by_what_is_known() -> None:
    original = Original()
    for _ in ask_ahead(original.reference, PLANNED, 10.0):
        pass
    case = next(c for c in original.reference.known if c.fill == "uniform")
    evidence = compare(
        Computes(SIGNATURE, lambda x: x * 2.1),
        original.reference,
        Judge(original.reference, Tolerance()),
        [case],
        budget=60.0,
    )
    assert [r.holds for r in evidence.results] == [False]


def test_what_is_kept_fits_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    row = 3 * 4 * 3  # of float32, as it goes in and as it comes out of both
    monkeypatch.setattr(ahead, "ROOM", 20 * row)
    original = Original()
    for _ in ask_ahead(original.reference, PLANNED, 10.0):
        pass
    rows = [len(known.feeds["x"]) for known in original.reference.known.values()]
    assert 0 < sum(rows) <= 20


@pytest.mark.parametrize(
    ("budget", "step", "reached"), [(10.0, 0.0, ahead.ENOUGH), (0.0, 0.0, CASES + 1)]
)
def test_cases_that_take_too_long_are_left_to_the_check(
    budget: float, step: float, reached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "STEP", step)
    original = Original()
    for _ in ask_ahead(original.reference, PLANNED, budget):
        pass
    assert original.reference.known
    assert set(original.reference.known) <= set(PLANNED[:reached])


def test_without_a_truth_the_first_cases_are_not_asked_and_no_others_in_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "STEP", 0.0)
    reference = Reference(Repeats(SIGNATURE, Original()), None)
    for _ in ask_ahead(reference, PLANNED, 10.0):
        pass
    assert reference.known
    assert set(reference.known) <= set(PLANNED[CASES : ahead.ENOUGH])
