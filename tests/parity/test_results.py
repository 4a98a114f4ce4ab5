"""What a check found, as text and as JSON."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from toolkit.parity.cases import Case, plan
from toolkit.parity.results import CaseResult, ParityReport, ranges
from toolkit.parity.verdict import Judgement
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[batch, 3]\nwhere batch = 1..4")
HELD = tuple(CaseResult(c, (Judgement("y", True, 1e-7, 0.9),)) for c in plan(SIGNATURE, limit=16))
FAILED = CaseResult(
    Case((("batch", 3),), "zeros", 7), (Judgement("y", False, 0.5, np.inf, "is 1, expected 0.5"),)
)


def report(*results: CaseResult, **options: Any) -> ParityReport:
    return ParityReport("m.onnx", "m.py:m", SIGNATURE, "cpu", results, **options)


def test_all_cases_held_is_a_report_that_holds() -> None:
    assert (report(*HELD).holds, report(*HELD).exit_code) == (True, 0)


@pytest.mark.parametrize(
    "bad", [report(), report(*HELD, FAILED), report(*HELD, problems=("a frozen input",))]
)
def test_no_case_one_failure_or_one_problem_does_not_hold(bad: ParityReport) -> None:
    assert (bad.holds, bad.exit_code) == (False, 1)
    assert bad.reason


def test_the_summary_says_how_much_of_the_domain_was_covered() -> None:
    assert report(*HELD).summary == (
        "holds on 16 cases (batch all of 1..4), worst error 0.9x that of float32"
    )


def test_the_reason_of_a_failure_names_output_values_and_case() -> None:
    assert report(*HELD, FAILED).reason == ("'y' is 1, expected 0.5 (batch=3,fill=zeros,seed=7)")


def test_json_has_neither_nan_nor_infinity() -> None:
    text = json.dumps(report(FAILED).to_dict(), allow_nan=False)
    assert json.loads(text)["failures"][0]["case"] == "batch=3,fill=zeros,seed=7"


def test_json_has_every_case_and_the_worst_of_each_output() -> None:
    found = report(*HELD, FAILED).to_dict()
    assert found["ratios"] == {str(r.case): 0.9 for r in HELD} | {str(FAILED.case): "inf"}
    assert found["errors"] == {"y": "inf"}


def test_cases_held_on_appeal_are_told() -> None:
    appealed = CaseResult(FAILED.case, (Judgement("y", True, 1e-3, 200.0, rounding=True),))
    (remark,) = report(*HELD, appealed).remarks
    assert remark.startswith("in 1 cases the runtime rounds up to 200x as much as PyTorch")


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([4], "4"), ([1, 2, 3, 5, 8, 9], "1..3, 5, 8..9")]
)
def test_runs_of_numbers_are_written_as_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


@given(st.sets(st.integers(0, 60)))
def test_ranges_lose_no_number(numbers: set[int]) -> None:
    found: set[int] = set()
    for part in filter(None, ranges(sorted(numbers)).split(", ")):
        low, _, high = part.partition("..")
        found |= set(range(int(low), int(high or low) + 1))
    assert found == numbers
