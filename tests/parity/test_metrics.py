"""How far two arrays are apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from toolkit.parity.metrics import max_abs_error

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
