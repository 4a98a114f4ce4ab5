"""Latencies are medians of rounds in which the subjects take turns."""

from collections.abc import Mapping
from itertools import count

import numpy as np
import pytest

from toolkit import latency
from toolkit.latency import Timed, Timing, measure, overall_ratio, typical_sizes
from toolkit.signature import Signature

ROWS = Signature.parse("x: float32[batch, 2]; where batch = 1..16")
ONE: list[Mapping[str, int]] = [{"batch": 1}]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here keeps a processor busy."""
    monkeypatch.setattr(latency, "_REST", 0.0)


class Takes:
    """Each run takes the next of the given seconds, over and over; none are really spent."""

    def __init__(self, *seconds: float) -> None:
        self.seconds_of, self.next = seconds, count()
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def seconds(self, feeds: Mapping[str, np.ndarray], runs: int) -> list[float]:
        self.asked.append((feeds["x"].shape, runs))
        return [self.seconds_of[next(self.next) % len(self.seconds_of)] for _ in range(runs)]


class Drifts:
    """A machine that slows down by a tenth in each round, for all of its subjects alike."""

    def __init__(self, base: float) -> None:
        self.base, self.round = base, count()

    def seconds(self, feeds: Mapping[str, np.ndarray], runs: int) -> list[float]:
        return [self.base * 1.1 ** next(self.round)] * runs


def timed(*, budget: float = 0.0, **subjects: Timed) -> dict[str, Timing]:
    return {t.subject: t for t in measure(subjects, ROWS, ONE, budget=budget)}


def test_the_first_subject_is_what_the_others_are_compared_with() -> None:
    found = timed(eager=Takes(0.2), file=Takes(0.05))
    assert {n: t.ratio for n, t in found.items()} == {"eager": 1.0, "file": 0.25}


def test_the_time_of_a_subject_is_a_median_that_outliers_do_not_move() -> None:
    # Three runs warm up; then each round warms up with one more and takes one.
    rounds = (0.3, 9.0, 0.1, 0.3, 0.3)
    found = timed(file=Takes(0.2, 0.2, 0.2, *(s for seconds in rounds for s in (5.0, seconds))))
    assert found["file"].seconds == 0.3


def test_ratios_are_taken_within_a_round_so_that_drift_cancels() -> None:
    found = timed(eager=Drifts(0.2), file=Drifts(0.1))
    assert found["file"].ratio == pytest.approx(0.5)


@pytest.mark.parametrize(("seconds", "runs"), [(1.0, 1), (0.01, 5), (0.001, 50), (1e-9, 1000)])
def test_a_round_repeats_short_runs_and_runs_long_ones_once(seconds: float, runs: int) -> None:
    subject = Takes(seconds)
    timed(file=subject)
    asked = [n for _, n in subject.asked[1:]]
    assert asked == [1, runs] * 5


def test_without_a_budget_there_are_five_rounds() -> None:
    assert timed(file=Takes(1.0))["file"].rounds == 5


def test_with_any_budget_there_are_a_hundred_rounds_at_most() -> None:
    assert timed(file=Takes(1.0), budget=3600.0)["file"].rounds == 100


def test_every_subject_is_timed_at_every_size() -> None:
    subjects = {"eager": Takes(0.1), "file": Takes(0.1)}
    found = measure(subjects, ROWS, [{"batch": 1}, {"batch": 7}], budget=0.0)
    assert [(t.subject, t.sizes["batch"]) for t in found] == [
        *(("eager", 1), ("file", 1)),
        *(("eager", 7), ("file", 7)),
    ]


def test_subjects_are_fed_arrays_of_the_sizes_asked_for() -> None:
    subject = Takes(0.1)
    measure({"file": subject}, ROWS, [{"batch": 7}], budget=0.0)
    assert {shape for shape, _ in subject.asked} == {(7, 2)}


def test_the_overall_ratio_is_the_geometric_mean_over_sizes() -> None:
    timings = [Timing("file", {}, 0.1, ratio, 5) for ratio in (0.5, 2.0, 8.0)]
    timings.append(Timing("eager", {}, 0.1, 1.0, 5))
    assert overall_ratio(timings, "file") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("x: float32[n, 4]; where n = 1..64", [{"n": 1}, {"n": 16}]),
        ("x: float32[n, 4]; where n = 1..4", [{"n": 1}]),
        ("x: float32[n, 4]; where n = 4..64", [{"n": 4}, {"n": 19}]),
        (
            "x: float32[n, t]; where n = 1..9, t = 8..512 step 8",
            [{"n": 1, "t": 136}, {"n": 3, "t": 136}],
        ),
        ("x: float32[n, n]; where n = 1..9", [{"n": 3}]),
        ("x: float32[3, 4]", [{}]),
    ],
)
def test_typical_sizes_are_one_sample_and_a_batch(text: str, sizes: list[dict[str, int]]) -> None:
    assert typical_sizes(Signature.parse(text)) == sizes
