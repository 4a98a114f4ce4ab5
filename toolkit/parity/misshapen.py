"""Shapes that the original never has. Pure.

Where shapes do not fit, a run ends, and there is no value to compare.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from math import prod
from typing import NamedTuple

from toolkit.parity.landmarks import Map, Step
from toolkit.parity.likeness import MOVING, SAME, agree, alike, far


def misshapen(here: Map, names: Iterable[str]) -> Step | None:
    """The first on the way to these values that is of a shape which the original never has.

    For where shapes do not fit, so that there is no value to compare: one of as many numbers as
    no landmark has, a right one laid out in another way, or one that was moved otherwise.
    """
    in_shape = partial(_is_in_shape, here)
    for step in here.suspects((n for n in names if not in_shape(n)), in_shape):
        live = here.live & {*step.outputs}
        if live and _is_moved_otherwise(here, step):
            return step
        for name in live & here.values.keys():
            if _is_unheard_of(here, name) or _is_laid_out_otherwise(here, name, step):
                return step
    return None


def _is_unheard_of(here: Map, name: str) -> bool:
    """Has no value of the original as many elements? Sizes and counts it never has."""
    value = here.values[name]
    counts = value.whole and len(value.shape) < 2
    return not counts and value.telling and value.size not in here.by_size


def _is_moved_otherwise(here: Map, step: Step) -> bool:
    if step.operator not in MOVING or (meant := here.meant(step)) is None:
        return False
    read = [name for name in step.inputs if name in here.values and name in here.matched]
    near = far(step.module, here.landmarks[meant].module) == SAME
    return near and step.inputs[0] in read and all(_is_in_shape(here, name) for name in read)


def _is_in_shape(here: Map, name: str) -> bool:
    """Is it a value of the original in the original's own shape?"""
    return any(mark.sketch.shape == here.values[name].shape for mark in here.same(name))


def _is_laid_out_otherwise(here: Map, name: str, step: Step) -> bool:
    """Has the original this value from the same operator, but in another shape?

    Exporters transpose, merge and split axes where PyTorch does not; their number stays then.
    """
    if _is_in_shape(here, name) or step.operator == "Transpose":
        return False
    rank = len(here.values[name].shape)
    return any(
        agree(step.module, mark.module)
        and alike(step.operator, mark.operator)
        and (step.operator not in MOVING or len(mark.sketch.shape) == rank)
        for mark in here.same(name)
    )


class Unfit(NamedTuple):
    """A number of a shape, and the one in whose place the elements would fit."""

    place: int
    size: int


def unfit(shape: Sequence[int], given: Sequence[int], right: Collection[int] = ()) -> Unfit | None:
    """The one number of `shape` that is wrong, where `given` is the shape of what is reshaped.

    Where several numbers could be exchanged, it is the one for which a size of `given` would stand.
    `right` are the indices known to be right. None where there is no telling, and for a shape that
    takes what is left (-1) or copies a size (0).
    """
    if any(size <= 0 for size in shape):
        return None
    elements, asked = prod(given), prod(shape)
    fitting = [
        Unfit(index, elements * size // asked)
        for index, size in enumerate(shape)
        if elements * size % asked == 0 and elements != asked and index not in right
    ]
    for found in ([u for u in fitting if u.size in given], fitting):
        if len(found) == 1:
            return found[0]
    return None
