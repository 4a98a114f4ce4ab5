"""How long a run takes, side by side: subjects take turns in one process each, medians and ratios.

Machines are noisy and change speed while one measures. So each round times every subject, and a
ratio is the median over rounds of the ratio within the round.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Protocol

import numpy as np

from toolkit import examples
from toolkit.plugins import Session
from toolkit.signature import Signature

_ROUND = 0.05
"""Seconds that one subject runs within a round, at least once."""

_REST = 0.05
"""Seconds before each turn. The threads of the subject that ran before spin on for a while, and
without a rest take up to half of the processor: a ResNet-18 in int8 measured 7.4 ms instead of 2.9,
its float32 10 instead of 6 (2 cores); rests of 0.1 and 0.2 s changed nothing more."""


class Timed(Protocol):
    """What can be timed: seconds for each of a number of runs."""

    def seconds(self, feeds: Mapping[str, np.ndarray], runs: int) -> list[float]: ...


class InProcess:
    """Times a session of this process (eager PyTorch, whose module is here)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def seconds(self, feeds: Mapping[str, np.ndarray], runs: int) -> list[float]:
        taken = []
        for _ in range(runs):
            start = time.perf_counter()
            self._session.run(feeds)
            taken.append(time.perf_counter() - start)
        return taken


@dataclass(frozen=True)
class Timing:
    """One subject at one size. `ratio`: its time over that of the first subject, 1.0 for itself."""

    subject: str
    sizes: Mapping[str, int]
    seconds: float
    ratio: float
    rounds: int


def typical_sizes(signature: Signature) -> list[dict[str, int]]:
    """One sample, and a batch: lengths and image sizes at a quarter of their range."""
    quarter = {d.name: d.snap(d.low + (d.high - d.low) // 4) for d in signature.dims}
    if signature.batch is None:
        return [quarter]
    one = {**quarter, signature.batch: signature.dim(signature.batch).snap(1)}
    return [one] if one == quarter else [one, quarter]


def measure(
    subjects: Mapping[str, Timed],
    signature: Signature,
    sizes: Sequence[Mapping[str, int]],
    *,
    budget: float = 4.0,
    given: Sequence[examples.Feeds] = (),
) -> list[Timing]:
    """Time all subjects at each of `sizes`: about `budget` seconds in all, 5 rounds at least.

    Where values come from data only, on one of the `given` examples instead, at its own sizes.
    """
    if signature.from_data:
        at, feeds = examples.sample(signature, given)
        return _at(subjects, at, feeds, budget)
    drawn = (
        (at, examples.feeds(signature, at, "uniform", np.random.default_rng(0))) for at in sizes
    )
    return [t for at, feeds in drawn for t in _at(subjects, at, feeds, budget / len(sizes))]


def _at(
    subjects: Mapping[str, Timed], sizes: Mapping[str, int], feeds: examples.Feeds, budget: float
) -> list[Timing]:
    runs = {}
    for name, subject in subjects.items():
        rest()
        once = min(subject.seconds(feeds, 3))  # also the warm-up
        runs[name] = max(1, min(1000, int(_ROUND / max(once, 1e-6))))
    rounds: list[dict[str, float]] = []
    end = time.perf_counter() + budget
    while len(rounds) < 5 or (time.perf_counter() < end and len(rounds) < 100):
        rounds.append({n: _turn(s, feeds, runs[n]) for n, s in subjects.items()})
    first = next(iter(subjects))
    return [
        Timing(
            name,
            dict(sizes),
            median(r[name] for r in rounds),
            median(r[name] / r[first] for r in rounds),
            len(rounds),
        )
        for name in subjects
    ]


def _turn(subject: Timed, feeds: Mapping[str, np.ndarray], runs: int) -> float:
    rest()
    subject.seconds(feeds, 1)  # caches and clock speed are another's
    return median(subject.seconds(feeds, runs))


def rest() -> None:
    """Let the threads of the subject that ran before stop spinning."""
    time.sleep(_REST)


def overall_ratio(timings: Sequence[Timing], subject: str) -> float:
    """The geometric mean over sizes of a subject's time over the first subject's."""
    return geometric_mean(t.ratio for t in timings if t.subject == subject)
