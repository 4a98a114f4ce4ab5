"""How the runtimes write: the same tokens as PyTorch, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from toolkit import latency
from toolkit.errors import ParityError
from toolkit.inference.agreement import equally_good
from toolkit.inference.generation import Generator, prompts_of, room_after, written

_MOST = 32
"""Tokens a sequence is compared and timed over: errors of a state show within a few steps."""


@dataclass(frozen=True)
class Writing:
    """How one runtime writes: tokens a second at batch 1 and 8, and whether they are PyTorch's."""

    subject: str
    speed: Mapping[int, float]
    equal: int
    """Of `rows` sequences, greedy and by beam search alike."""
    rows: int

    def __str__(self) -> str:
        speeds = ", ".join(f"{speed:,.0f} at batch {size}" for size, speed in self.speed.items())
        equal = f"; {self.equal} of {self.rows} sequences are PyTorch's"
        own = self.subject == "pytorch"
        return f"{self.subject}: tokens a second: {speeds}" + ("" if own else equal)


def compare_writing(
    subjects: Mapping[str, Generator],
    exact: Generator | None,
    rows: Mapping[str, np.ndarray],
    budget: float,
) -> tuple[Writing, ...]:
    """Let all of `subjects` (`pytorch`, `float32`, perhaps `int8`) write what follows `rows`.

    `exact` is PyTorch in float64, which tells a tie from an error. Raises ParityError where
    `float32` writes what PyTorch does not, and no tie explains it.
    """
    most = min(room_after(subjects["pytorch"], rows), _MOST)
    found: dict[str, list[list[int]]] = {}
    for name, subject in subjects.items():
        found[name] = [*written(subject, rows, most=most)]
        found[name] += written(subject, rows, most=most, beams=min(4, subject.batch))
    _require_agreement(subjects["pytorch"], exact, rows, found["pytorch"], found["float32"], most)
    speeds = {size: _speeds(subjects, rows, size, most, budget / 4) for size in (1, 8)}
    writings = []
    for name in subjects:
        equal = sum(a == b for a, b in zip(found["pytorch"], found[name], strict=True))
        speed = {size: s[name] for size, s in speeds.items()}
        writings.append(Writing(name, speed, equal, len(found[name])))
    return tuple(writings)


def _require_agreement(
    eager: Generator,
    exact: Generator | None,
    rows: Mapping[str, np.ndarray],
    expected: Sequence[Sequence[int]],
    got: Sequence[Sequence[int]],
    most: int,
) -> None:
    """The same tokens, or others where two were tied: greedy for each row, then by beam search."""
    count = len(expected) // 2
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        if one == other:
            continue
        row = slice(number % count, number % count + 1)
        source = {n: a[row] for n, a in rows.items()} if eager.encoder else None
        prompt = [eager.generation.start] if eager.encoder else prompts_of(rows)[number % count]
        beams = number >= count
        if exact and equally_good(eager, exact, source, prompt, one, other, most=most, whole=beams):
            continue
        raise ParityError(
            f"the bundle writes {other}, PyTorch writes {one}",
            "each graph holds alone: is the state carried over as the next step expects it?",
        )


def _speeds(
    subjects: Mapping[str, Generator],
    rows: Mapping[str, np.ndarray],
    size: int,
    most: int,
    budget: float,
) -> dict[str, float]:
    """Tokens a second of `size` rows that never end, in turns: medians of at least 3 rounds."""
    some = {name: array[:size] for name, array in rows.items()}
    endless = {
        name: Generator(s.decoder, replace(s.generation, end=-1), s.encoder)
        for name, s in subjects.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    stop = time.perf_counter() + budget
    while len(taken["pytorch"]) < 3 or (time.perf_counter() < stop and len(taken["pytorch"]) < 50):
        for name, subject in endless.items():
            latency.rest()
            start = time.perf_counter()
            count = sum(map(len, written(subject, some, most=most)))
            taken[name].append(count / (time.perf_counter() - start))
    return {name: median(values) for name, values in taken.items()}
