"""How the runtimes write: the same tokens as PyTorch, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from toolkit import latency
from toolkit.dtypes import epsilon
from toolkit.errors import ParityError
from toolkit.inference.agreement import equally_good
from toolkit.inference.generation import Generator, asked, room_after, written
from toolkit.parity.metrics import scale
from toolkit.parity.verdict import Tolerance

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
    drift: tuple[float, ...] = ()
    """By step, with the state carried: the error of the logits over the one that PyTorch's own
    float32 has made until there. All write PyTorch's words here."""

    def __str__(self) -> str:
        speeds = ", ".join(f"{speed:,.0f} at batch {size}" for size, speed in self.speed.items())
        told = [f"tokens a second: {speeds}"] if speeds else []
        if self.subject != "pytorch":
            told.append(f"{self.equal} of {self.rows} sequences are PyTorch's")
        if self.drift:
            last = f"{self.drift[-1]:.2g}x at step {len(self.drift)}"
            told.append(f"error of the logits {self.drift[0]:.2g}x at step 1, {last}")
        return f"{self.subject}: {'; '.join(told)}"


def compare_writing(
    subjects: Mapping[str, Generator],
    exact: Generator | None,
    rows: Mapping[str, np.ndarray],
    budget: float,
) -> tuple[Writing, ...]:
    """Let all of `subjects` (`pytorch`, `float32`, perhaps `int8`) write what follows `rows`.

    `exact` is PyTorch in float64, which tells a tie from an error. `budget`: seconds for the
    speeds; 0 for none. Raises ParityError where `float32` writes what PyTorch does not, and no tie
    explains it.
    """
    most = min(room_after(subjects["pytorch"], rows), _MOST)
    found: dict[str, list[list[int]]] = {}
    for name, subject in subjects.items():
        found[name] = [*written(subject, rows, most=most)]
        found[name] += written(subject, rows, most=most, beams=min(4, subject.batch))
    _require_agreement(subjects["pytorch"], exact, rows, found["pytorch"], found["float32"], most)
    sizes = (1, 8) if budget else ()
    speeds = {size: _speeds(subjects, rows, size, most, budget / 4) for size in sizes}
    drifts = _drifts(subjects, exact, rows, found["pytorch"]) if exact else {}
    writings = []
    for name in subjects:
        equal = sum(a == b for a, b in zip(found["pytorch"], found[name], strict=True))
        speed = {size: s[name] for size, s in speeds.items()}
        drift = drifts.get(name, ())
        writings.append(Writing(name, speed, equal, len(found[name]), drift))
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
        source, (prompt,) = asked(eager, {n: a[row] for n, a in rows.items()})
        beams = number >= count
        if exact and equally_good(eager, exact, source, prompt, one, other, most=most, whole=beams):
            continue
        raise ParityError(
            f"the bundle writes {other}, PyTorch writes {one}",
            "each graph holds alone: is the state carried over as the next step expects it?",
        )


def _drifts(
    subjects: Mapping[str, Generator],
    exact: Generator,
    rows: Mapping[str, np.ndarray],
    texts: Sequence[Sequence[int]],
) -> dict[str, tuple[float, ...]]:
    """Of all but PyTorch, while each writes the words of PyTorch's greedy search."""
    eager = subjects["pytorch"]
    count = min(len(texts) // 2, eager.batch)  # the second half is by beam search
    source, prompts = asked(eager, {n: a[:count] for n, a in rows.items()})
    longest = max(map(len, texts[:count]))
    if not longest:
        return {}
    end = eager.generation.end
    tokens = np.array([[*t, *[end] * (longest - len(t))] for t in texts[:count]], np.int64)
    truth = exact.followed(source, prompts, tokens).astype(np.float64)
    scores = {n: s.followed(source, prompts, tokens) for n, s in subjects.items()}
    off = {n: np.nanmax(np.abs(s - truth), (1, 2)) for n, s in scores.items()}
    least = Tolerance().floor_ulps * epsilon(str(scores["pytorch"].dtype)) * scale(truth)
    yardstick = np.maximum(np.maximum.accumulate(off["pytorch"]), least)
    return {n: tuple(map(float, e / yardstick)) for n, e in off.items() if n != "pytorch"}


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
