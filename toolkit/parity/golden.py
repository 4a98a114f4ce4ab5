"""Outputs of a reference, recorded: what another machine checks against without the original.

Each case has its inputs, the outputs in the model's own precision and in float64, and what the
reference itself cannot resolve there, for the first hearing and for the appeal. Pure.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from toolkit.errors import InputError, OnnxportError
from toolkit.examples import Feeds
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.conditioning import sums, unstable
from toolkit.parity.digest import digest
from toolkit.parity.expectation import Arrays, Expectation, Noise
from toolkit.parity.reference import Reference
from toolkit.signature import Signature

MOST_BYTES = 16 * 2**20
"""A recording is no larger than this: cases that do not fit are left out."""

MOST_CASES = 32


@dataclass(frozen=True)
class Recorded:
    """One case of a recording."""

    case: Case
    feeds: Feeds
    expected: Expectation
    noise: Noise
    sums: Noise
    """What plain summation may be off by: see `toolkit.parity.judging`."""

    @property
    def bytes(self) -> int:
        parts = (self.feeds, self.expected.plain, self.expected.truth)
        marks = (self.noise.undecided, self.sums.undecided)
        return sum(array.nbytes for part in (*parts, *marks) for array in part.values())


def record(
    reference: Reference,
    cases: Sequence[Case],
    *,
    seconds: float,
    most_bytes: int = MOST_BYTES,
    most_cases: int = MOST_CASES,
) -> list[Recorded]:
    """Run the reference on the first cases, the smaller ones before the larger, as many as fit.

    In so many bytes, and about so much time: each costs some forty runs (for the neighbours).
    """
    found: list[Recorded] = []
    end, left = time.perf_counter() + seconds, most_bytes
    drawn = [(c, c.feeds(reference.signature, reference.given)) for c in cases[:most_cases]]
    pace = 0.0
    for case, feeds in sorted(drawn, key=lambda one: _bytes(one[1])):
        start = time.perf_counter()
        if _bytes(feeds) > left or start + pace * _bytes(feeds) > end:
            break
        expected = reference.expect(feeds)
        first = reference.noise(case, feeds, expected)
        if unstable(expected, first):
            continue  # proves nothing
        ulps, drift = sums(reference.terms(feeds))
        appeal = reference.noise(case, feeds, expected, ulps=ulps, drift=drift)
        one = Recorded(case, feeds, expected, first, appeal)
        if one.bytes <= left:
            found.append(one)
            left -= one.bytes
        pace = (time.perf_counter() - start) / max(_bytes(feeds), 1)
    return found


def _bytes(feeds: Feeds) -> int:
    return sum(a.nbytes for a in feeds.values())


class Recording(Reference):
    """Recorded cases in the place of a reference. What was not recorded is refused."""

    def __init__(self, signature: Signature, recorded: Sequence[Recorded]) -> None:
        super().__init__(_Recorded(signature), None, given=[r.feeds for r in recorded])
        self._known = {digest(r.feeds): r for r in recorded}
        self.cases = tuple(
            replace(r.case, fill=GIVEN, seed=n, edits=(), origin=str(r.case))
            for n, r in enumerate(recorded)
        )

    @property
    def has_truth(self) -> bool:
        return True

    def expect(self, feeds: Arrays) -> Expectation:
        """Raises InputError where these inputs were not recorded."""
        return self._find(feeds).expected

    def in_float64(self, feeds: Arrays, expected: Expectation) -> Arrays | None:
        return expected.truth

    def terms(self, feeds: Arrays) -> int:
        return max(a.size for a in feeds.values())

    def noise(
        self,
        case: Case,
        feeds: Arrays,
        expected: Expectation,
        *,
        ulps: float = 1.0,
        drift: float = 0.0,
        weights: bool = False,
        end: float = inf,
    ) -> Noise:
        found = self._find(feeds)
        return found.sums if drift else found.noise

    def _find(self, feeds: Arrays) -> Recorded:
        try:
            return self._known[digest(feeds)]
        except KeyError:
            raise _not_recorded() from None


class _Recorded:
    """A session that knows the signature and runs nothing."""

    device = "cpu"

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise _not_recorded()


def _not_recorded() -> OnnxportError:
    return InputError(
        "these inputs are not among the recorded ones", "name the original: --against"
    )


def to_arrays(recorded: Sequence[Recorded]) -> dict[str, np.ndarray]:
    """Flat, by name: `3/input/ids`, `3/plain/logits`, `3/truth/logits`, ..."""
    arrays: dict[str, np.ndarray] = {}
    for number, one in enumerate(recorded):
        for part, values in (
            ("input", one.feeds),
            ("plain", one.expected.plain),
            ("truth", one.expected.truth),
            ("noise", one.noise.spread),
            ("sums", one.sums.spread),
            ("undecided", {n: a for n, a in one.noise.undecided.items() if a.any()}),
            ("unsettled", {n: a for n, a in one.sums.undecided.items() if a.any()}),
        ):
            for name, value in values.items():
                array = np.asarray(value)
                if str(array.dtype) == "bfloat16":  # no such type in a file of numpy's
                    array = array.astype(np.float32)
                arrays[f"{number}/{part}/{name}"] = array
    return arrays


def from_arrays(
    cases: Sequence[Case], arrays: Mapping[str, np.ndarray], signature: Signature
) -> list[Recorded]:
    """What `to_arrays` wrote. Raises KeyError where something is missing."""
    from toolkit.dtypes import numpy_dtype

    recorded = []
    for number, case in enumerate(cases):
        feeds = {
            s.name: arrays[f"{number}/input/{s.name}"].astype(numpy_dtype(s.dtype))
            for s in signature.inputs
        }
        plain = {
            s.name: arrays[f"{number}/plain/{s.name}"].astype(numpy_dtype(s.dtype))
            for s in signature.outputs
        }
        truth = {n: arrays[f"{number}/truth/{n}"] for n in plain}

        def noise(spread: str, ties: str, at: int = number, found: Arrays = plain) -> Noise:
            kept = {n: arrays.get(f"{at}/{ties}/{n}") for n in found}
            return Noise(
                {n: float(arrays[f"{at}/{spread}/{n}"]) for n in found},
                {n: marks for n, marks in kept.items() if marks is not None},
            )

        first, appeal = noise("noise", "undecided"), noise("sums", "unsettled")
        recorded.append(Recorded(case, feeds, Expectation(plain, truth), first, appeal))
    return recorded
