"""What is expected of the first cases, asked while the candidate is still being made.

An exporter works on one core for seconds, and what the original answers does not hang on its file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import inf

from toolkit.errors import OnnxportError
from toolkit.parity.cases import Case
from toolkit.parity.ending import ending
from toolkit.parity.expectation import Known
from toolkit.parity.pacing import ENOUGH, Clock, Room
from toolkit.parity.reference import Reference
from toolkit.signature import Signature

ROOM = 512 << 20
"""Bytes of inputs and outputs that are kept, for all candidates of a model."""

FIRST = 3
"""Cases that tell how long others take."""

STEP = 0.5
"""Seconds that a case may take which the check may never reach: the candidate waits for it."""


def ask_ahead(reference: Reference, cases: Sequence[Case], budget: float) -> Iterator[None]:
    """One case a step into `reference.known`: the most telling, and of these the long ones first.

    Left to the check are those that the original refuses, for which there is no room, and that seem
    to take too long: `budget` seconds, or `STEP` beyond `ENOUGH`. Those that it repeats to see
    their noise come last: of them it needs the truth alone.
    """
    kept = sum(_size(known) for known in reference.known.values())
    clock, room, full = Clock(inf), Room(), inf
    repeats = reference.repeating.most
    repeated = cases[:repeats] if reference.has_truth else ()
    telling = _longest_first(cases[repeats:ENOUGH], reference.signature)
    limits = [(case, budget) for case in (*telling, *repeated)]
    limits += [(case, STEP) for case in cases[ENOUGH:]]
    for case, longest in limits:
        volume = case.volume(reference.signature)
        if case in reference.known or volume >= full:
            continue
        if clock.expects(volume) > longest or not room.allows(volume):
            continue
        start = time.perf_counter()
        try:
            feeds = case.feeds(reference.signature, reference.given)
            with ending(reference, case, clock.expects(volume)):
                expected = reference.expect_once(feeds)
        except OnnxportError:
            continue
        known = Known(feeds, expected, time.perf_counter() - start)
        clock.record(volume, known.seconds)
        room.record(volume, sum(a.nbytes for a in expected.plain.values()))
        if kept + _size(known) > ROOM:
            full = volume
        else:
            kept += _size(known)
            reference.known[case] = known
        yield


def _longest_first(cases: Sequence[Case], signature: Signature) -> Sequence[Case]:
    """Behind those that tell how long others take: the candidate waits for the last one."""
    others = sorted(cases[FIRST:], key=lambda case: -case.volume(signature))
    return (*cases[:FIRST], *others)


def _size(known: Known) -> int:
    arrays = (known.feeds, known.expected.plain, known.expected.truth)
    return sum(array.nbytes for named in arrays for array in named.values())
