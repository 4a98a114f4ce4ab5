"""Ranges found by asking: against predicates that are known."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings, strategies as st

from toolkit.domain import Choices, Interval
from toolkit.proposal.asking import (
    USUAL,
    accepted_sizes,
    accepted_whole,
    common_range,
    dim_names,
    sets_apart,
    sets_that_move,
)

UNTIMED = settings(deadline=None)


@pytest.mark.parametrize(
    ("accepts", "shown", "expected"),
    [
        pytest.param(lambda n: n >= 1, [3], Interval(1, 64), id="any"),
        pytest.param(lambda n: n == 4, [4], None, id="one only"),
        pytest.param(lambda n: 1 <= n <= 512, [10], Interval(1, 512), id="a table of positions"),
        pytest.param(lambda n: 1 <= n <= 10, [10], Interval(1, 10), id="shown at its end"),
        pytest.param(lambda n: n >= 5, [32], Interval(5, 64), id="a kernel"),
        pytest.param(lambda n: n % 8 == 0 and n > 0, [32], Interval(8, 64, 8), id="multiples"),
        pytest.param(lambda n: n % 2 == 1, [5], Interval(1, 63, 2), id="odd"),
        pytest.param(
            lambda n: n % 4 in (0, 3) and n > 3, [32], Interval(4, 64, 4), id="multiples and some"
        ),
        pytest.param(lambda n: n >= 1, [224], Interval(1, 448), id="large"),
        pytest.param(lambda n: n in (3, 8), [3, 8], Choices((3, 8)), id="those shown only"),
        pytest.param(lambda n: n >= 1, [100, 7], Interval(1, 200), id="several shown"),
    ],
)
def test_the_widest_range_that_is_accepted(
    accepts: Callable[[int], bool], shown: list[int], expected: object
) -> None:
    assert accepted_sizes(accepts, shown) == expected


def test_nothing_far_is_asked_where_it_would_take_long() -> None:
    asked: list[int] = []

    def accepts(size: int) -> bool:
        asked.append(size)
        return size >= 1

    accepted_sizes(accepts, [3], cheap=lambda: False)
    assert max(asked) <= USUAL


@UNTIMED
@given(st.integers(1, 40), st.integers(1, 300), st.data())
def test_the_ends_of_any_range_are_found(low: int, count: int, data: st.DataObject) -> None:
    legal = range(low, low + count + 1)
    at = data.draw(st.sampled_from(legal))
    assert accepted_sizes(lambda n: n in legal, [at]) == Interval(low, low + count)


@UNTIMED
@given(st.integers(2, 12), st.integers(1, 9))
def test_multiples_of_any_number_are_found(step: int, times: int) -> None:
    found = accepted_sizes(lambda n: n > 0 and n % step == 0, [times * step])
    most = max(USUAL, 2 * times * step) // step * step
    assert found == Interval(step, most, step)


@pytest.mark.parametrize(
    ("accepts", "shown", "expected"),
    [
        (lambda v: 0 <= v < 50, (3, 30), (0, 49)),
        (lambda v: 1 <= v <= 6, (2, 5), (2, 6)),
        (lambda v: True, (0, 1), (0, 1)),
        (lambda v: True, (5, 9), (0, 9)),
    ],
    ids=["a vocabulary", "lengths", "no end", "no end, and 0"],
)
def test_integers_reach_as_far_as_there_is_an_end(
    accepts: Callable[[int], bool], shown: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert accepted_whole(accepts, *shown, 2**20) == expected


def test_dimensions_that_share_a_limit_are_cut_and_the_others_are_not() -> None:
    found = common_range([2, 3, 5], [64, 64, 64], lambda at: at[1] + at[2] <= 70)
    assert found[0] == 64
    assert 60 <= found[1] + found[2] <= 70


def test_what_is_accepted_at_once_is_not_cut() -> None:
    assert common_range([2, 3], [64, 7], lambda at: True) == [64, 7]


def moving(*together: set[str]) -> Callable[[Sequence[str]], bool]:
    return lambda some: any(set(some) == one for one in together)


@pytest.mark.parametrize(
    ("together", "sets", "fixed"),
    [
        ([{"x0", "y0", "x1"}], [["x0", "y0", "x1"]], []),
        ([{"x0", "y0"}], [["x0", "y0"]], ["x1"]),
        ([{"x0"}, {"x1"}], [["x1"], ["x0"]], ["y0"]),
        ([], [], ["x0", "y0", "x1"]),
    ],
)
def test_axes_of_one_size_fall_into_sets_that_move_together(
    together: list[set[str]], sets: list[list[str]], fixed: list[str]
) -> None:
    assert sets_that_move(["x0", "y0", "x1"], moving(*together), [0, 0, 1]) == (sets, fixed)


def test_sets_split_where_either_part_may_have_another_size() -> None:
    def apart(some: Sequence[str], rest: Sequence[str]) -> bool:
        return {a[1] for a in some}.isdisjoint(a[1] for a in rest)

    axes = ["x0", "x1", "y0", "y1"]
    assert sets_apart(axes, apart, [0, 1, 0, 1]) == [["x0", "y0"], ["x1", "y1"]]


def test_the_shared_leading_axis_is_the_batch() -> None:
    sets = [[("ids", 0), ("mask", 0)], [("ids", 1), ("mask", 1)], [("past.k", 2)]]
    assert dim_names(sets, ["ids", "mask"]) == ["batch", "ids_1", "past_k_2"]
    assert dim_names(sets, ["ids", "mask", "past.k"]) == ["ids_0", "ids_1", "past_k_2"]
