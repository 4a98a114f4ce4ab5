"""One output before the judge: the error of float32 is the yardstick."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from toolkit.parity.verdict import Judgement, Tolerance, judge, spread, unsettled

TRUTH = np.array([1.0, -2.0, 3.0])
PLAIN = np.array([1.0, -2.0, 3.000001], np.float32)
"""About 1e-6 off: what this float32 program accounts for."""
EPS = 2.0**-23


def judged(candidate: np.ndarray | Sequence[float], **options: Any) -> Judgement:
    array = np.asarray(candidate, np.float32)
    return judge("y", array, PLAIN, TRUTH, Tolerance(), **options)


def test_an_equal_output_holds_with_no_error_over_its_own() -> None:
    assert judged(PLAIN).holds


def test_within_eight_times_the_yardstick_holds() -> None:
    assert judged([1.0, -2.0, 3.000007]).holds


def test_beyond_eight_times_the_yardstick_differs_and_says_where() -> None:
    result = judged([1.0, -2.0, 3.0001])
    assert not result.holds
    assert result.reason == "is 3.0000999, expected 3 at [2]"


def test_an_exact_reference_leaves_two_ulps_of_the_scale() -> None:
    plain = TRUTH.astype(np.float32)
    limit = 8 * 2 * EPS * 3.0
    near, far = (plain + np.float32(k * limit) for k in (0.9, 1.2))
    assert judge("y", near, plain, TRUTH, Tolerance()).holds
    assert not judge("y", far, plain, TRUTH, Tolerance()).holds


def test_noise_of_the_input_widens_the_yardstick() -> None:
    candidate = [1.0, -2.0, 3.0001]
    assert judged(candidate, noise=1e-4).holds


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_became_nan_or_infinite_differs(value: float) -> None:
    assert not judged([value, -2.0, 3.0]).holds


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_or_infinity_that_became_a_number_differs(value: float) -> None:
    plain = np.array([value, -2.0, 3.0], np.float32)
    candidate = np.array([0.0, -2.0, 3.0], np.float32)
    assert not judge("y", candidate, plain, plain.astype(np.float64), Tolerance()).holds


def test_the_same_nan_and_the_same_infinities_hold() -> None:
    plain = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert judge("y", plain, plain, plain.astype(np.float64), Tolerance()).holds


def test_infinities_of_another_sign_differ() -> None:
    plain = np.array([np.inf], np.float32)
    assert not judge("y", -plain, plain, plain.astype(np.float64), Tolerance()).holds


def test_an_overflow_that_only_float32_has_may_go_either_way() -> None:
    plain, truth = np.array([np.inf], np.float32), np.array([3.5e38])
    assert judge("y", plain, plain, truth, Tolerance()).holds
    assert judge("y", np.array([3.4e38], np.float32), plain, truth, Tolerance()).holds


def test_a_shape_that_would_broadcast_differs() -> None:
    result = judged(np.ones((1, 3)))
    assert result.reason == "has shape [1, 3], expected [3]"


def test_another_dtype_differs() -> None:
    result = judge("y", PLAIN.astype(np.float64), PLAIN, TRUTH, Tolerance())
    assert result.reason == "is float64, expected float32"


def test_unsigned_numbers_that_differ_by_one_differ() -> None:
    plain, candidate = np.array([0, 255], np.uint8), np.array([255, 255], np.uint8)
    result = judge("y", candidate, plain, plain.astype(np.float64), Tolerance())
    assert result.reason == "is 255, expected 0 at [0]; 1 of 2 differ"


def test_whole_numbers_may_differ_where_the_reference_itself_is_undecided() -> None:
    plain, candidate = np.array([3, 7]), np.array([3, 8])
    truth, tie = plain.astype(np.float64), np.array([False, True])
    assert judge("y", candidate, plain, truth, Tolerance(), undecided=tie).holds
    assert not judge("y", candidate, plain, truth, Tolerance(), undecided=~tie).holds


def test_booleans_match_exactly() -> None:
    plain = np.array([True, False])
    assert not judge("y", ~plain, plain, plain.astype(np.float64), Tolerance()).holds


def test_an_explicit_tolerance_replaces_the_yardstick() -> None:
    candidate = np.array([1.05, -2.0, 3.0], np.float32)
    assert judge("y", candidate, PLAIN, TRUTH, Tolerance(atol=0.1)).holds
    assert judge("y", candidate, PLAIN, TRUTH, Tolerance(rtol=0.06)).holds
    refused = judge("y", candidate, PLAIN, TRUTH, Tolerance(rtol=0.01))
    assert refused.reason == "off by 0.05, allowed atol 0, rtol 0.01"


def test_an_empty_output_holds() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert judge("y", empty, empty, empty.astype(np.float64), Tolerance()).holds


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8), st.floats(9.0, 1e4))
def test_no_error_above_the_factor_ever_holds(values: list[float], times: float) -> None:
    plain = np.array(values, np.float32)
    truth = plain.astype(np.float64)
    yardstick = 2 * EPS * max(1e-30, float(np.abs(truth).max()))
    candidate = (truth + 1.01 * times * yardstick).astype(np.float32)
    moved = float(np.abs(candidate - truth).max())
    assert judge("y", candidate, plain, truth, Tolerance()).holds == (moved <= 8 * yardstick)


def test_spread_is_the_largest_finite_change() -> None:
    samples = [np.array([1.0, np.inf]), np.array([1.5, 2.0])]
    assert spread(np.array([1.0, 2.0]), samples) == 0.5


def test_unsettled_is_where_any_sample_differs() -> None:
    plain = np.array([1, 2, 3])
    found = unsettled(plain, [np.array([1, 2, 4]), np.array([0, 2, 3])])
    assert found.tolist() == [True, False, True]
