"""A failing case made small: the least sizes, then the simplest values, that still fail. Pure.

As in property testing (Hypothesis; Zeller and Hildebrandt, Simplifying and Isolating
Failure-Inducing Input, 2002): whatever is simpler and fails the same way takes the place of the
case, until nothing simpler does or the trials are used up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from toolkit import examples
from toolkit.domain import FromData, admits
from toolkit.examples import Feeds
from toolkit.parity import edits
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.edits import Edit
from toolkit.parity.results import CaseResult
from toolkit.signature import Dim, Signature, TensorSpec

TRIALS = 250
"""Runs at most."""

MOST_EDITS = 8
"""So many numbers other than the usual one are told in the text of a case; else it stays drawn."""

Fails = Callable[[Case], bool]


class _Trials:
    """Asks whether a case fails, and says no once all trials are used up."""

    def __init__(self, fails: Fails) -> None:
        self._fails, self._left = fails, TRIALS

    def __call__(self, case: Case) -> bool:
        self._left -= 1
        return not self.spent and self._fails(case)

    @property
    def spent(self) -> bool:
        return self._left < 0


def alike(first: CaseResult, other: CaseResult) -> bool:
    """Do two failures look the same: the same output and kind, or the same problem?"""
    if other.holds:
        return False
    if first.problem:
        return _shape_of(first.problem) == _shape_of(other.problem)
    kinds = {(j.output, j.kind) for j in first.judgements if not j.holds}
    return any((j.output, j.kind) in kinds for j in other.judgements if not j.holds)


def _shape_of(problem: str) -> str:
    """The sentence without its numbers: sizes are what is being changed."""
    return re.sub(r"[\d{}, ]+", "", problem)[:80]


def shrink(case: Case, signature: Signature, fails: Fails, given: Sequence[Feeds] = ()) -> Case:
    """The simplest case found that fails, after TRIALS runs at most."""
    fails = _Trials(fails)
    if case.fill != GIVEN:
        case = _smaller(case, signature, fails)
        if fails(zeros := Case(case.sizes, "zeros", 0)):
            return _smaller(zeros, signature, fails)
    drawn = case.feeds(signature, given)
    free = [s for s in signature.inputs if not isinstance(s.values, FromData)]
    named = [s for s in free if re.fullmatch(r"[^\[\]=,]+", s.name)]
    for spec in named:
        case = _flat(case, spec, fails)
    for spec in named:
        if not any(e.name == spec.name for e in case.edits):
            case = _sparse(case, spec, drawn[spec.name], fails)
    return _on_zeros(case, signature, given)


def _smaller(case: Case, signature: Signature, fails: _Trials) -> Case:
    """Each dimension in turn as small as it goes, until none goes further."""
    again = True
    while again:
        again = False
        for dim in signature.dims:
            sizes = dict(case.sizes)
            for size in _sizes_below(dim, sizes[dim.name]):
                less = replace(case, sizes=tuple({**sizes, dim.name: size}.items()))
                if fails(less):
                    case, again = less, True
                    break
    return case


def _sizes_below(dim: Dim, size: int) -> Iterator[int]:
    """The smallest three, then by halves of the way, up to the next smaller one."""
    below = dim.legal[: dim.legal.index(size)] if size in dim.legal else ()
    places = [0, 1, 2, *(len(below) - 1 - (len(below) >> k) for k in (1, 2, 3)), len(below) - 1]
    yield from dict.fromkeys(below[at] for at in places if 0 <= at < len(below))


def _flat(case: Case, spec: TensorSpec, fails: _Trials) -> Case:
    """One input all zero (or what is nearest to it), or all one."""
    for value in (_usual(spec), "1"):
        if _allowed(spec, value) and fails(less := _edited(case, Edit(spec.name, None, value))):
            return less
    return case


def _usual(spec: TensorSpec) -> str:
    return edits.text(examples.draw(spec, (1,), "zeros", np.random.default_rng(0)).flat[0])


def _sparse(case: Case, spec: TensorSpec, array: np.ndarray, fails: _Trials) -> Case:
    """One input zero but for a few elements, these with few digits."""
    flat = Edit(spec.name, None, _usual(spec))
    usual = edits.number(flat.value, spec.dtype)
    kept = [at for at in np.ndindex(array.shape) if array[at] != usual]
    if len(kept) > _MOST_ELEMENTS:
        return case

    told = {at: Edit(spec.name, at, edits.text(array[at])) for at in kept}

    def with_only(indices: Sequence[tuple[int, ...]]) -> Case:
        return _edited(case, flat, *map(told.__getitem__, indices))

    if not fails(with_only(kept)):  # what is not a number equal to itself, say
        return case
    chunk = max(1, len(kept) // 2)
    while kept and not fails.spent:  # delta debugging: leave out what is not needed, by halves
        first, fewer = 0, False
        while first < len(kept) and not fails.spent:
            rest = kept[:first] + kept[first + chunk :]
            if rest and fails(with_only(rest)):
                kept, fewer = rest, True
            else:
                first += chunk
        if chunk == 1 and not fewer:
            break
        chunk = max(1, chunk // 2)
    if len(kept) > MOST_EDITS:
        return case
    found = with_only(kept)
    for number, edit in enumerate(found.edits):
        if edit.name == spec.name and edit.at is not None:
            found = _rounded(found, number, spec, fails)
    return found


_MOST_ELEMENTS = 1024
"""Of one input: of more, single ones are not found within the trials."""


def _rounded(case: Case, number: int, spec: TensorSpec, fails: Fails) -> Case:
    """One edit with a shorter value: 1, -1, or fewer digits."""
    edit = case.edits[number]
    value = float(edit.value)
    shorter = ["1", "-1"]
    if np.isfinite(value):
        shorter += [f"{value:.0f}", f"{value:.1g}", f"{value:.2g}"]
    for text in shorter:
        if len(text) < len(edit.value) and _allowed(spec, text):
            changed = (*case.edits[:number], edit._replace(value=text), *case.edits[number + 1 :])
            if fails(less := replace(case, edits=changed)):
                return less
    return case


def _allowed(spec: TensorSpec, text: str) -> bool:
    try:
        value = edits.number(text, spec.dtype)
    except (ValueError, OverflowError):
        return False
    return spec.values is None or bool(admits(spec.values, value[None], spec.dtype).all())


def _edited(case: Case, *more: Edit) -> Case:
    return replace(case, edits=(*case.edits, *more))


def _on_zeros(case: Case, signature: Signature, given: Sequence[Feeds]) -> Case:
    """The same arrays told from zeros, where that is the same and shorter."""
    few = tuple(e for e in case.edits if not (e.at is None and float(e.value) == 0))
    simple = Case(case.sizes, "zeros", 0, few)
    if not case.edits or case.fill == GIVEN:
        return case
    ours, theirs = (c.feeds(signature, given) for c in (simple, case))
    return simple if all(ours[n].tobytes() == theirs[n].tobytes() for n in ours) else case
