"""Whether a case still fits the time and the memory, from what smaller ones took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import inf

from toolkit.memory import available

_COPIES = 6
"""An output is there in the model's own precision, in float64 which is twice as wide, in the
candidate's process, on the way from there, and as it comes."""

ENOUGH = 16
"""Cases that are run in any case within a budget. A plan begins with the most telling ones: as many
hold 1 and either end of three dimensions, and half of the fills."""


class Clock:
    """Says whether a case still fits, from the time that smaller ones took: into `budget` seconds,
    and once `ENOUGH` are done into `modest`."""

    def __init__(self, budget: float, modest: float = inf) -> None:
        start = time.perf_counter()
        self.end, self._modest = start + budget, start + modest
        self._taken: dict[int, float] = {}

    def record(self, volume: int, seconds: float) -> None:
        self._taken[volume] = seconds

    def allows(self, volume: int, done: int, known: bool = False) -> bool:
        """`known`: what takes the time is done already."""
        left = (self.end if done < ENOUGH else min(self.end, self._modest)) - time.perf_counter()
        return left > 0 and (known or self.expects(volume) <= left)

    def expects(self, volume: int) -> float:
        """Seconds for a case, 0 where nothing is known."""
        # Attention grows with the square of a length, the rest in proportion: between the two.
        return _expected(self._taken, volume, 1.5) if self._taken else 0.0


class Room:
    """Says whether the outputs of a case fit the memory, from what those of smaller ones took."""

    def __init__(self) -> None:
        self._taken: dict[int, float] = {}

    def record(self, volume: int, size: int) -> None:
        self._taken[volume] = size

    def allows(self, volume: int) -> bool:
        return not self._taken or _COPIES * _expected(self._taken, volume, 1.0) <= available()


def _expected(taken: Mapping[int, float], volume: int, power: float) -> float:
    """What a case takes, by the nearest of the smaller ones."""
    nearest = max([v for v in taken if v <= volume] or taken)
    growth: float = max(1.0, volume / max(nearest, 1)) ** power
    return taken[nearest] * growth
