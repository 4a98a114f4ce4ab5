"""How far two arrays are apart."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.parity.metrics import (
    errors,
    kl_divergence,
    max_abs_error,
    max_rel,
    max_ulps,
    probabilities_of,
    top_agreement,
)

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([INF, -INF], [INF, -INF], 0.0),
        ([INF], [-INF], INF),
        ([1.0], [INF], INF),
        ([], [], 0.0),
    ],
)
def test_is_the_largest_difference(
    reference: list[float], candidate: list[float], expected: float
) -> None:
    assert max_abs_error(np.array(reference), np.array(candidate)) == expected


@pytest.mark.parametrize("candidate", [[NAN, 0.0], [0.0, NAN]])
def test_nan_never_passes_for_small(candidate: list[float]) -> None:
    assert np.isnan(max_abs_error(np.zeros(2), np.array(candidate)))


def test_unsigned_numbers_do_not_wrap_around() -> None:
    assert max_abs_error(np.array([3], np.uint8), np.array([5], np.uint8)) == 2.0


def test_does_not_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        max_abs_error(np.zeros((2, 1)), np.zeros((2, 2)))


@given(arrays(np.float32, 5, elements={"allow_nan": False}))
def test_nothing_differs_from_itself(array: np.ndarray) -> None:
    assert max_abs_error(array, array) == 0.0


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [([100.0, 0.5], [101.0, 0.6], 0.2), ([0.0], [0.0], 0.0), ([0.0], [1.0], INF), ([], [], 0.0)],
)
def test_the_relative_error_is_that_of_the_smallest_numbers_too(
    reference: list[float], candidate: list[float], expected: float
) -> None:
    wide = np.array(reference)
    assert max_rel(errors(wide, np.array(candidate)), wide) == pytest.approx(expected)


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(-50, 50))
def test_so_many_next_numbers_away_is_about_so_many_ulps(value: float, steps: int) -> None:
    start = np.float32(value)
    there = start
    for _ in range(abs(steps)):
        there = np.nextafter(there, np.float32(np.inf if steps > 0 else -np.inf))
    wide = np.array([start], np.float64)
    found = max_ulps(errors(wide, np.array([there])), wide, "float32")
    assert abs(steps) / 2 <= found <= abs(steps)  # an ulp is half as large below a power of two


def test_top_k_counts_shared_entries_in_any_order() -> None:
    reference, candidate = np.array([[3.0, 2, 1, 0]]), np.array([[2.0, 3, 0, 1]])
    assert top_agreement(reference, candidate, (1, 2, 3)) == pytest.approx([0.0, 1.0, 2 / 3])


def test_rows_that_sum_to_one_are_probabilities_and_so_are_their_logarithms() -> None:
    rows = np.array([[0.25, 0.75], [0.5, 0.5]])
    for given_rows in (rows, np.log(rows)):
        reading = probabilities_of(given_rows)
        assert reading is not None
        np.testing.assert_allclose(reading(given_rows), rows)
    assert probabilities_of(rows * 2) is None
    assert probabilities_of(rows[0]) is None
    assert probabilities_of(rows - 0.5) is None


def test_the_divergence_of_probabilities_is_zero_only_where_they_are_equal() -> None:
    p, q = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    assert kl_divergence(p, p) == 0.0
    assert kl_divergence(p, q) == pytest.approx(0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75))
    assert kl_divergence(p, np.array([[1.0, 0.0], [1.0, 0.0]])) == np.inf
