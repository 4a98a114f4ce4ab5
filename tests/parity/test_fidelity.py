"""How faithful a rounded model is."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.parity.fidelity import Budget, Fidelity, Tally

RNG = np.random.default_rng(0)


def tallied(reference: np.ndarray, *candidates: np.ndarray) -> Fidelity:
    tally = Tally()
    for candidate in candidates:
        tally.add({"y": reference}, {"y": candidate})
    return tally.result()[0]


def test_noise_of_a_tenth_is_20_decibels() -> None:
    reference = np.ones((1, 1000))
    noise = 0.1 * np.where(np.arange(1000) % 2, 1, -1)
    assert tallied(reference, reference + noise).sqnr == pytest.approx(20.0)


def test_an_equal_output_has_no_noise_and_the_same_direction() -> None:
    found = tallied(np.ones((2, 3)), np.ones((2, 3)))
    assert (found.sqnr, found.cosine, found.top1, found.rows) == (np.inf, 1.0, 1.0, 2)


def test_an_all_zero_candidate_has_0_decibels() -> None:
    found = tallied(np.ones((2, 3)), np.zeros((2, 3)))
    assert (found.sqnr, found.cosine) == (0.0, 0.0)


def test_top1_counts_rows_with_the_same_largest_class() -> None:
    reference, candidate = np.eye(4), np.eye(4)
    candidate[0] = [0, 1, 0, 0]
    assert tallied(reference, candidate).top1 == 0.75


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3, 4)])
def test_top1_is_for_rows_of_classes_only(shape: tuple[int, ...]) -> None:
    array = RNG.random(shape)
    assert tallied(array, array).top1 is None


@given(arrays(np.float64, (6, 3), elements=st.floats(0.1, 9.0)))
def test_batches_add_up_to_the_whole(reference: np.ndarray) -> None:
    candidate = reference * 1.01 + 0.02
    whole, parts = Tally(), Tally()
    whole.add({"y": reference}, {"y": candidate})
    for rows in (slice(0, 2), slice(2, 6)):
        parts.add({"y": reference[rows]}, {"y": candidate[rows]})
    (one,), (other,) = whole.result(), parts.result()
    assert other.sqnr == pytest.approx(one.sqnr)
    assert other.cosine == pytest.approx(one.cosine)
    assert other.rows == one.rows


def test_positions_that_are_not_finite_in_the_original_do_not_count() -> None:
    assert tallied(np.array([1.0, -np.inf]), np.array([1.0, -3e38])).sqnr == np.inf


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_a_candidate_that_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="'y' is not finite"):
        tallied(np.ones(2), np.array([1.0, value]))


@pytest.mark.parametrize(
    ("sqnr", "top1", "budget", "within"),
    [
        (20.0, 1.0, Budget(), True),
        (9.0, 1.0, Budget(), False),
        (20.0, 0.9, Budget(min_top1=0.95), False),
        (20.0, None, Budget(min_top1=0.95), True),
        (np.nan, 1.0, Budget(), False),
    ],
)
def test_the_budget_decides(sqnr: float, top1: float | None, budget: Budget, within: bool) -> None:
    assert Fidelity("y", sqnr, 1.0, top1, 1).within(budget) == within
