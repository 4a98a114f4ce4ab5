"""Run-to-run noise: PyTorch against itself, once more and on one thread; and TF32, which is off.

What PyTorch itself does not repeat nobody else can: it is part of the yardstick of the case. With
TF32 a GPU multiplies numbers of 10 bits; parity is judged without it, and told what it would cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import OnnxportError
from toolkit.parity.metrics import scale
from toolkit.parity.verdict import Tolerance, spread
from toolkit.plugins import Session

AGAIN, ONE_THREAD, TF32 = "once more", "on one thread", "with TF32"

Ways = Mapping[str, Callable[[], AbstractContextManager[None]]]
"""Other ways to run a session; see `PyTorchSession.ways`."""

CASES = 3
"""Cases that are repeated, the first ones, where nobody says how many."""


@dataclass(frozen=True)
class Repeated:
    """How far the original is from itself when it runs another way."""

    way: str
    cases: int = 0
    ratio: float = 0.0
    """The largest change over the error of float32; 0 where all bits are the same."""

    def __str__(self) -> str:
        far = f"up to {self.ratio:.2g}x the error of float32" if self.ratio else "the same bits"
        return f"{far} {self.way}"


class Repeating:
    """Runs the first `most` cases in other ways, and adds up what that changes."""

    def __init__(self, session: Session, most: int = CASES) -> None:
        self._session, self.most = session, most
        self._ways: Ways = getattr(session, "ways", dict)()
        self._found = {way: Repeated(way) for way in self._ways}

    def result(self) -> tuple[Repeated, ...]:
        return tuple(r for r in self._found.values() if r.cases)

    @property
    def done(self) -> bool:
        """Is nothing more to be seen of its noise?"""
        return all(r.cases >= self.most for r in self._found.values())

    def runs(self, feeds: Mapping[str, np.ndarray]) -> Iterator[Mapping[str, np.ndarray]]:
        """The outputs in every way that counts as noise."""
        for way in self._ways:
            if way != TF32:
                yield from self._run(way, feeds)

    def noise(
        self,
        feeds: Mapping[str, np.ndarray],
        plain: Mapping[str, np.ndarray],
        truth: Mapping[str, np.ndarray],
    ) -> dict[str, float]:
        """How far each floating output moves between runs that should be equal; empty after the
        first few cases."""
        moved: dict[str, float] = {}
        for way, before in self._found.items():
            if before.cases >= self.most:
                continue
            for outputs in self._run(way, feeds):
                ratio = before.ratio
                for name, array in plain.items():
                    if DTYPES[str(array.dtype)].kind != "f" or outputs[name].shape != array.shape:
                        continue
                    far = spread(array, [outputs[name]])
                    ratio = max(ratio, far / _yardstick(array, truth[name]))
                    if way != TF32:
                        moved[name] = max(moved.get(name, 0.0), far)
                del outputs  # before the next ones are made
                self._found[way] = replace(before, cases=before.cases + 1, ratio=ratio)
        return moved

    def _run(self, way: str, feeds: Mapping[str, np.ndarray]) -> Iterator[Mapping[str, np.ndarray]]:
        try:
            with self._ways[way]():
                outputs = self._session.run(feeds)
        except OnnxportError:
            return
        yield outputs


def _yardstick(plain: np.ndarray, truth: np.ndarray) -> float:
    least = Tolerance().floor_ulps * epsilon(str(plain.dtype)) * scale(truth)
    return max(spread(truth, [plain]), least) or 1.0
