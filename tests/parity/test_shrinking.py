"""A failing case made small: sizes first, then values, always one that fails the same way."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from toolkit.errors import UsageError
from toolkit.parity import edits
from toolkit.parity.cases import Case, plan
from toolkit.parity.results import CaseResult
from toolkit.parity.shrinking import alike, shrink
from toolkit.parity.verdict import Judgement
from toolkit.signature import Signature

SIGNATURE = Signature.parse(
    """
    x: float32[batch, n]
    ids: int64[batch, n] in 0..99
    where batch = 1..64, n = {2, 4, 8, 512}
    """
)
FIRST = Case.parse("batch=37,n=8,fill=uniform,seed=5", SIGNATURE)


def shrunk(fails: Callable[..., Any], case: Case = FIRST) -> str:
    def asked(candidate: Case) -> bool:
        feeds = candidate.feeds(SIGNATURE)
        assert SIGNATURE.validate(feeds) == dict(candidate.sizes)
        return bool(fails(**feeds))

    return str(shrink(case, SIGNATURE, asked))


def test_what_always_fails_becomes_the_least_sizes_and_zeros() -> None:
    assert shrunk(lambda x, ids: True) == "batch=1,n=2,fill=zeros,seed=0"


def test_sizes_stop_where_it_would_no_longer_fail() -> None:
    assert shrunk(lambda x, ids: x.shape[0] > 3) == "batch=4,n=2,fill=zeros,seed=0"


def test_one_element_that_matters_is_all_that_is_left() -> None:
    found = shrunk(lambda x, ids: ((x[:, 1] > 0.2) & (x[:, 0] <= 0)).any())
    assert re.fullmatch(r"batch=\d,n=2,fill=zeros,seed=0,x\[\d,1\]=1", found)


def test_elements_of_several_inputs_are_left_where_all_matter() -> None:
    found = shrunk(lambda x, ids: (x > 0.2).any() and (ids % 7 == 3).any())
    assert found.startswith("batch=1,n=")
    assert found.count("x[") == found.count("ids[") == 1


def test_an_input_of_ones_is_told_in_one_word() -> None:
    assert "x[...]=1" in shrunk(lambda x, ids: (x != 0).all())


def test_what_needs_many_numbers_stays_drawn() -> None:
    case = Case.parse("batch=2,n=512,fill=uniform,seed=5", SIGNATURE)

    def fails(x: np.ndarray, ids: np.ndarray) -> bool:
        return x.shape == (2, 512) and bool(400 < (x > 0).sum() < 600)

    found = shrunk(fails, case)
    assert found == "batch=2,n=512,fill=uniform,seed=5,ids[...]=0"


def test_a_case_that_fails_no_more_stays_what_it_is() -> None:
    assert shrunk(lambda x, ids: False) == str(FIRST)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 63), st.floats(-1.0, 1.0), st.integers(0, 90))
def test_what_comes_out_fails_and_its_text_replays_it(batch: int, least: float, limit: int) -> None:
    def fails(x: np.ndarray, ids: np.ndarray) -> bool:
        return x.shape[0] > batch and bool((x > least).any()) and bool((ids >= limit).any())

    case = Case.parse("batch=64,n=8,fill=uniform,seed=1", SIGNATURE)
    again = Case.parse(shrunk(fails, case), SIGNATURE)
    assert fails(**case.feeds(SIGNATURE))
    assert fails(**again.feeds(SIGNATURE))


@pytest.mark.parametrize("value", ["0.1", "-0.0", "nan", "-inf", "1e-40", "16777217"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_text_of_a_number_loses_nothing(value: str, dtype: str) -> None:
    array = edits.number(value, dtype)
    assert edits.number(edits.text(array[()]), dtype).tobytes() == array.tobytes()


def test_edits_are_parsed_and_printed_without_loss() -> None:
    text = "batch=2,n=4,fill=uniform,seed=9,x[...]=0,x[1,3]=-0.5,ids[0,0]=7"
    case = Case.parse(text, SIGNATURE)
    assert str(case) == text
    feeds = case.feeds(SIGNATURE)
    assert (feeds["x"] != 0).sum() == 1
    assert feeds["ids"][0, 0] == 7


@pytest.mark.parametrize(
    "edit", ["y[...]=0", "x[2,0]=1", "x[0]=1", "ids[0,0]=1.5", "x[0,0]=one", "x[0,0]"]
)
def test_refuses_an_edit_that_fits_no_input(edit: str) -> None:
    with pytest.raises(UsageError):
        Case.parse(f"batch=2,n=4,fill=zeros,seed=0,{edit}", SIGNATURE)


def test_a_failure_is_another_one_where_output_or_kind_differ() -> None:
    def failed(output: str, kind: str) -> CaseResult:
        return CaseResult(FIRST, (Judgement(output, False, 1.0, 9.0, "is", kind),))

    assert alike(failed("y", "value"), failed("y", "value"))
    assert not alike(failed("y", "value"), failed("y", "class"))
    assert not alike(failed("y", "value"), failed("z", "value"))
    assert not alike(failed("y", "value"), CaseResult(FIRST))


def test_problems_are_alike_but_for_their_sizes() -> None:
    one, other, third = (
        CaseResult(FIRST, problem=p) for p in ("Reshape {2, 3}", "Reshape {1, 1}", "Gather {2}")
    )
    assert alike(one, other)
    assert not alike(one, third)


def test_no_planned_case_has_edits() -> None:
    assert {c.edits for c in plan(SIGNATURE)} == {()}
