"""An original that never gets over infinities or NaN, as one that halves until all is below 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import InputError
from toolkit.interrupting import at_most
from toolkit.parity.cases import Case
from toolkit.parity.reference import Reference
from toolkit.parity.special import SPECIAL

TOLD = "the original comes to no end at cases of the kind '{}'"

PATIENCE = 5.0
"""Seconds for special numbers, at the least."""

_SLOWER = 20.0
"""Times what other numbers take."""


@contextmanager
def ending(reference: Reference, case: Case, expected: float) -> Iterator[None]:
    """Around a run of the original, of which `expected` seconds are expected.

    Raises InputError where special numbers keep it from coming to an end, which is remembered.
    """
    if case.fill not in SPECIAL:
        yield
        return
    if case.fill not in reference.endless:
        try:
            with at_most(max(PATIENCE, _SLOWER * expected)):
                yield
            return
        except TimeoutError:
            reference.endless.append(case.fill)
    raise InputError(TOLD.format(case.fill))
