"""What an original gives on one case, and what it cannot resolve there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from toolkit.dtypes import DTYPES, epsilon
from toolkit.parity.metrics import scale
from toolkit.parity.verdict import spread, unsettled

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Expectation:
    """The outputs of one case: in the model's own precision, and the truth as it came.

    That is float64, or what stands in for it; it is widened where it is compared, piece by piece.
    """

    plain: Arrays
    truth: Arrays
    noise: Mapping[str, float] = field(default_factory=dict)
    """By output, how far it moves between runs that should be equal, where that was tried."""


def is_lost(spread: float, expected: Expectation, output: str) -> bool:
    """Is a floating output uncertain by more than half of its digits?

    That is by sqrt(epsilon) of its largest value: 2^11.5 ulps in float32. Models of the zoo are
    moved by 15 ulps at most, MobileNets with random norms by 2,400 to 8,000,000
    (docs/decisions/verdict.md).
    """
    dtype = str(expected.plain[output].dtype)
    if DTYPES[dtype].kind != "f":
        return False
    lost: float = np.sqrt(epsilon(dtype)) * scale(expected.truth[output])
    return spread > lost > 0.0


class Known(NamedTuple):
    """A case of which the reference was asked before there was a candidate."""

    feeds: Arrays
    expected: Expectation
    seconds: float


@dataclass(frozen=True)
class Noise:
    """What the reference itself cannot resolve: by output a spread, and by output of whole numbers
    the positions that are ties."""

    spread: Mapping[str, float]
    undecided: Mapping[str, np.ndarray]


class Moved:
    """How far outputs move among samples of them, of which none is kept."""

    def __init__(self, expected: Expectation) -> None:
        self._expected = expected
        self.spread = dict.fromkeys(expected.plain, 0.0)
        self.undecided = {
            name: unsettled(plain, [expected.truth[name]])
            for name, plain in expected.plain.items()
            if DTYPES[str(plain.dtype)].kind != "f"
        }

    def add(self, outputs: Arrays) -> None:
        for name, plain in self._expected.plain.items():
            if name not in outputs:
                continue
            sample = outputs[name]
            self.spread[name] = max(self.spread[name], spread(self._expected.truth[name], [sample]))
            if name in self.undecided:
                self.undecided[name] |= unsettled(plain, [sample])
