"""An original that never gets over infinities or NaN, as one that halves until all is below 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import InputError
from toolkit.interrupting import at_most
from toolkit.parity.cases import Case
from toolkit.parity.reference import Reference
from toolkit.parity.special import SPECIAL

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
    told = f"the original comes to no end at cases of the kind '{case.fill}'"
    if case.fill in reference.endless:
        raise InputError(told)
    try:
        with at_most(max(PATIENCE, _SLOWER * expected)):
            yield
    except TimeoutError as error:
        reference.endless.append(case.fill)
        raise InputError(told) from error
