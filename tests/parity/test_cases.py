"""Which cases a check runs, and in which order."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from toolkit import examples
from toolkit.errors import InputError, UsageError
from toolkit.parity.cases import Case, plan
from toolkit.signature import Signature

IMAGE = Signature.parse("pixels: float32[batch, 1, 28, 28] in 0..1\nwhere batch = 1..64")
TEXT = Signature.parse(
    """
    ids: int64[batch, tokens] in 0..99
    mask: int64[batch, tokens] in {0, 1}
    where batch = 1..8, tokens = 8..512 step 8
    """
)
OPEN = Signature.parse("x: float32[batch, 4]\nwhere batch = 1..1000")


def test_the_same_seed_gives_the_same_cases() -> None:
    assert plan(TEXT, seed=3) == plan(TEXT, seed=3)


def test_another_seed_gives_other_cases() -> None:
    assert plan(TEXT, seed=3) != plan(TEXT, seed=4)


def test_the_first_case_has_sizes_that_no_exporter_saw() -> None:
    first = dict(plan(TEXT, traced={"batch": 5, "tokens": 40})[0].sizes)
    assert first["batch"] != 5
    assert first["tokens"] != 40


def test_the_ends_of_every_dimension_come_within_the_first_ten() -> None:
    early = [dict(c.sizes) for c in plan(TEXT)[:10]]
    for dim in TEXT.dims:
        assert {dim.low, dim.high} <= {sizes[dim.name] for sizes in early}


def test_zeros_and_value_ends_come_within_the_first_twelve() -> None:
    assert {"uniform", "zeros", "low", "high", "ends"} <= {c.fill for c in plan(IMAGE)[:12]}


def test_values_without_a_range_are_also_drawn_large() -> None:
    assert "large" in {c.fill for c in plan(OPEN)}


def test_a_dimension_of_64_sizes_is_covered_completely() -> None:
    assert {dict(c.sizes)["batch"] for c in plan(IMAGE)} == set(range(1, 65))


def test_a_model_without_dimensions_gets_cases_that_differ_in_their_values() -> None:
    fixed = Signature.parse("x: float32[2, 3] in 0..1")
    cases = plan(fixed)
    assert len({str(c) for c in cases}) == len(cases) > 5


@given(seed=st.integers(0, 2**31), limit=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_every_case_fits_the_signature(seed: int, limit: int) -> None:
    cases = plan(TEXT, seed=seed, limit=limit)
    assert len(cases) == limit
    for case in cases[:6]:
        assert TEXT.validate(case.feeds(TEXT)) == dict(case.sizes)


@pytest.mark.parametrize("case", plan(TEXT, limit=12), ids=str)
def test_the_text_of_a_case_gives_the_same_inputs(case: Case) -> None:
    again = Case.parse(str(case), TEXT).feeds(TEXT)
    for name, array in case.feeds(TEXT).items():
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize(
    "text", ["batch=1", "batch=1,tokens=x", "batch=1,tokens=8,fill=ones", "nonsense"]
)
def test_refuses_what_is_not_a_case_and_shows_one(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Case.parse(text, TEXT)
    assert caught.value.hint == "write batch=3,tokens=3,fill=uniform,seed=0"


def _ids(batch: int, tokens: int) -> dict[str, np.ndarray]:
    return {name: np.ones((batch, tokens), np.int64) for name in ("ids", "mask")}


GIVEN = [_ids(2, 8), _ids(3, 16)]


def test_given_examples_are_the_first_cases_at_their_own_sizes() -> None:
    cases = plan(TEXT, given=GIVEN)
    assert [str(c) for c in cases[:2]] == [
        "batch=2,tokens=8,fill=given,seed=0",
        "batch=3,tokens=16,fill=given,seed=1",
    ]
    assert len(cases) == 128


def test_they_leave_half_of_the_cases_to_the_rest_of_the_domain() -> None:
    cases = plan(TEXT, given=GIVEN * 20, limit=10)
    assert [c.fill for c in cases].count("given") == 5


STRUCTURED = Signature.parse(str(TEXT).replace("0..99", "data"))


def test_only_examples_are_run_where_values_come_from_data() -> None:
    assert [c.fill for c in plan(STRUCTURED, given=GIVEN)] == ["given", "given"]


def test_a_plan_without_the_examples_it_needs_says_what_to_pass() -> None:
    with pytest.raises(InputError, match="the values of 'ids' come from data only"):
        plan(STRUCTURED)


def test_an_example_outside_of_the_signature_is_refused() -> None:
    with pytest.raises(InputError, match="tokens = 9"):
        plan(STRUCTURED, given=[_ids(2, 9)])


def test_the_text_of_a_given_case_gives_that_example() -> None:
    case = Case.parse("batch=3,tokens=16,fill=given,seed=1", TEXT)
    assert case.feeds(TEXT, GIVEN) is GIVEN[1]


def test_a_given_case_without_its_example_says_so() -> None:
    case = Case.parse("batch=3,tokens=16,fill=given,seed=1", TEXT)
    with pytest.raises(UsageError, match="1 are given"):
        case.feeds(TEXT, GIVEN[:1])


@pytest.mark.parametrize(
    ("values", "fills"),
    [
        ("", {"negative-zero", "denormal", "infinite", "nan"}),
        (" in 0..inf", {"negative-zero", "denormal", "infinite"}),
        (" in 0..1", {"negative-zero", "denormal"}),
        (" in {0, 1}", {"negative-zero"}),
        (" in 1..2", set()),
        (" in data", set()),
    ],
)
def test_special_numbers_are_tried_where_the_range_holds_them(values: str, fills: set[str]) -> None:
    signature = Signature.parse(f"x: float32[n]{values}; i: int64[n] in 0..9; where n = 1..9")
    feeds = [{"x": np.ones(2, np.float32), "i": np.ones(2, np.int64)}]
    found = [c.fill for c in plan(signature, given=feeds) if c.fill in examples.SPECIAL]
    assert set(found) == fills
    assert len(found) == len(fills)  # once each


def test_a_lossy_model_is_not_asked_about_special_numbers() -> None:
    assert not {c.fill for c in plan(OPEN, special=False)} & set(examples.SPECIAL)


def test_padding_is_tried_where_there_is_a_mask() -> None:
    assert "padding" in {c.fill for c in plan(TEXT)[:16]}
    assert "padding" not in {c.fill for c in plan(IMAGE)}


def test_repeated_tokens_and_ties_are_tried() -> None:
    assert {"equal", "ties"} <= {c.fill for c in plan(TEXT)[:20]}
