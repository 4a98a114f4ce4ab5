"""Does what the original returns depend on its inputs? One that ignores them proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from toolkit import examples
from toolkit.errors import OnnxportError
from toolkit.examples import Feeds
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.expectation import Arrays
from toolkit.parity.reference import Reference
from toolkit.plugins import Session

_TRIED = 3
"""Cases in which an input is changed before it is said to change nothing."""


def idle(reference: Reference, cases: Sequence[Case]) -> tuple[str, ...]:
    """The inputs of which other values changed no output, in the first few cases.

    Where values come from data only, other examples of the same sizes take their place, and where
    there are none an input is not accused. Empty where the reference is a recording, which cannot
    be asked.
    """
    if reference.cases:
        return ()
    signature, still = reference.signature, [s.name for s in reference.signature.inputs]
    usual = [c for c in cases if c.fill in ("uniform", GIVEN)][:_TRIED]
    for case in sorted(usual, key=lambda c: c.volume(signature)):  # mostly the first one tells
        feeds = case.feeds(signature, reference.given)
        before = _outputs(reference.plain, feeds)
        for name in list(still):
            others = list(_others(reference, case, feeds, name))
            if not others:
                still.remove(name)
            for array in others:
                after = _outputs(reference.plain, {**feeds, name: array})
                if before is None or after is None or _differ(before, after):
                    still.remove(name)
                    break
        if not still:
            break
    return tuple(still) if usual else ()


def _others(reference: Reference, case: Case, feeds: Feeds, name: str) -> Iterator[np.ndarray]:
    """Other values of one input: drawn, or another example's."""
    spec = next(s for s in reference.signature.inputs if s.name == name)
    if name in reference.signature.from_data:
        same = (g[name] for g in reference.given if g[name].shape == feeds[name].shape)
        yield from islice((a for a in same if not np.array_equal(a, feeds[name])), 2)
        return
    for fill in ("uniform", "ends"):
        rng = np.random.default_rng([case.seed, 1])
        yield examples.draw(spec, feeds[name].shape, fill, rng)


def _outputs(session: Session, feeds: Feeds) -> Arrays | None:
    try:
        return session.run(feeds)
    except OnnxportError:
        return None


def _differ(one: Arrays, other: Arrays) -> bool:
    return any(
        one[n].shape != other[n].shape or one[n].tobytes() != other[n].tobytes() for n in one
    )


def idle_problems(
    reference: Reference, cases: Sequence[Case], unused: Sequence[str] = (), *, varied: bool = False
) -> tuple[list[str], list[str]]:
    """What makes a report vacuous, and what is only to be said of it.

    `unused`: inputs that no node of the file reads, of which the file itself says so. `varied`: the
    cases showed that values matter, however seldom (two numbers that are equal). Outputs whose
    shapes follow the sizes of the inputs are compared for these, whatever the values.
    """
    found = idle(reference, cases)
    inputs = [s for s in reference.signature.inputs if s.shape != (0,)]
    if found and len(found) == len(inputs) and varied:
        return [], []
    if found and len(found) == len(inputs):
        sized = any(isinstance(n, str) for s in reference.signature.outputs for n in s.shape)
        told = "no input changes what the reference returns"
        return ([], [told]) if sized else ([f"vacuous: {told}"], [])
    floating = [s.name for s in inputs if s.is_float and s.name in found]
    return [], [
        f"input '{n}' changes nothing, though it is read" for n in floating if n not in unused
    ]
