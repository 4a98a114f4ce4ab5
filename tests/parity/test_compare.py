"""The run that joins cases, sessions and judge: budgets, crashes, vacuous references."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.parity.functions import Computes, Function
from toolkit.errors import InputError
from toolkit.parity.cases import plan
from toolkit.parity.compare import TOO_LARGE, Evidence, compare
from toolkit.parity.judging import Judge
from toolkit.parity.pacing import ENOUGH
from toolkit.parity.reference import IN_HASTE, Reference
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[batch, 3] in 0..1\nwhere batch = 1..16")
CASES = plan(SIGNATURE, limit=20)


def compared(candidate: Function, original: Function, **options: Any) -> Evidence:
    reference = Reference(Computes(SIGNATURE, original), Computes(SIGNATURE, original))
    judge = Judge(reference, Tolerance())
    given: dict[str, Any] = {"budget": 60.0, "cases": CASES, **options}
    return compare(Computes(SIGNATURE, candidate), reference, judge, **given)


def double(x: np.ndarray) -> np.ndarray:
    return x * 2


def wrong_above_8(x: np.ndarray) -> np.ndarray:
    return x * 2 if len(x) <= 8 else x


def test_every_case_runs_within_the_budget() -> None:
    evidence = compared(double, double)
    assert [r.case for r in evidence.results] == CASES
    assert all(r.holds for r in evidence.results)


def test_a_spent_budget_leaves_all_unreached_but_two_of_different_sizes() -> None:
    evidence = compared(double, double, budget=0.0)
    assert [r.case for r in evidence.results] == CASES[:2]
    assert CASES[0].sizes != CASES[1].sizes
    assert evidence.unreached == CASES[2:]


def test_a_spent_budget_leaves_one_case_where_there_is_one_size() -> None:
    same = [replace(case, sizes=CASES[0].sizes) for case in CASES]
    assert len(compared(double, double, cases=same, budget=0.0).results) == 1


def test_the_most_telling_cases_run_when_the_modest_time_is_over() -> None:
    cases = plan(SIGNATURE, limit=ENOUGH + 8)
    evidence = compared(double, double, cases=cases, modest=0.0)
    assert [r.case for r in evidence.results] == cases[:ENOUGH]
    assert evidence.unreached == cases[ENOUGH:]


def test_the_budget_ends_a_modest_time_too() -> None:
    evidence = compared(double, double, budget=0.0, modest=0.0)
    assert [r.case for r in evidence.results] == CASES[:2]


def test_cases_whose_outputs_would_not_fit_the_memory_are_unreached_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = 6 * 3 * 4  # of float32, several times over
    monkeypatch.setattr("toolkit.parity.pacing.available", lambda: float(8 * row))
    evidence = compared(double, double)
    assert evidence.unreached
    assert all(dict(c.sizes)["batch"] > 8 for c in evidence.unreached)
    assert evidence.notes == [TOO_LARGE]


@pytest.mark.parametrize(("budget", "notes"), [(0.0, [IN_HASTE]), (60.0, [])])
def test_a_near_miss_is_looked_into_in_haste_once_the_budget_is_over_and_still_fails(
    budget: float, notes: list[str]
) -> None:
    reference = Reference(Computes(SIGNATURE, np.cos), Computes(SIGNATURE, np.cos))
    near = Computes(SIGNATURE, lambda x: np.cos(x) * np.float32(1 + 1e-5))
    found = compare(near, reference, Judge(reference, Tolerance()), CASES[:2], budget=budget)
    assert not found.results[0].holds
    assert reference.notes == notes


def test_only_the_sizes_that_differ_fail() -> None:
    failed = {
        dict(r.case.sizes)["batch"] for r in compared(wrong_above_8, double).results if not r.holds
    }
    assert failed
    assert min(failed) > 8


def test_fail_fast_ends_at_the_first_failure() -> None:
    evidence = compared(wrong_above_8, double, fail_fast=True)
    assert [r.holds for r in evidence.results].count(False) == 1
    assert not evidence.results[-1].holds


def test_a_candidate_that_raises_fails_the_case_and_the_rest_goes_on() -> None:
    def refuses_batch_1(x: np.ndarray) -> np.ndarray:
        if len(x) == 1:
            raise InputError("the runtime refuses batch 1")
        return x * 2

    evidence = compared(refuses_batch_1, double)
    assert {r.problem for r in evidence.results if not r.holds} == {"the runtime refuses batch 1"}
    assert len(evidence.results) == len(CASES)


def test_a_reference_that_refuses_its_own_domain_is_an_error() -> None:
    def refuses(x: np.ndarray) -> np.ndarray:
        raise InputError("PyTorch itself refuses x [16, 3]")

    with pytest.raises(InputError, match="PyTorch itself refuses"):
        compared(double, refuses)


def test_progress_is_told_after_each_case() -> None:
    heard: list[tuple[int, int]] = []
    compared(double, double, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(n, len(CASES)) for n in range(1, len(CASES) + 1)]


@pytest.mark.parametrize(
    ("original", "reason"),
    [
        (np.ones_like, "the reference returns the same number everywhere"),
        (lambda x: x * np.float32(1e-25), "'y' never exceeds 1e-25"),
    ],
)
def test_a_reference_that_tells_nothing_is_vacuous(original: Function, reason: str) -> None:
    (problem,) = compared(original, original).vacuous()
    assert problem.startswith(f"vacuous: {reason}")


def test_an_ordinary_reference_is_not_vacuous() -> None:
    assert compared(double, double).vacuous() == []
