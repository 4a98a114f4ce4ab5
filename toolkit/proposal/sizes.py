"""Which axes of an example may have other sizes, together or apart, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from toolkit.domain import Choices, Interval
from toolkit.proposal.asking import (
    accepted_sizes,
    common_range,
    dim_names,
    probes,
    sets_apart,
    sets_that_move,
)
from toolkit.proposal.trials import Axis, Trials
from toolkit.signature import Dim, TensorSpec
from toolkit.structure import COMPLEX

_MIXED = 8
"""Mixtures of sizes that are tried once every dimension has its range."""

_QUICK = 0.25
"""Seconds of a trial beyond which none of twice the size is made: attention may take 4 times."""


@dataclass
class Axes:
    """Axes that share a size: which, the sizes in the examples, and what else they may be."""

    axes: list[Axis]
    shown: list[int]
    sizes: Interval | Choices | None = None

    def at(self, size: int) -> dict[Axis, int]:
        return dict.fromkeys(self.axes, size)


def sizes_of(
    trials: Trials, names: Sequence[str], seen: Sequence[Sequence[torch.Tensor]]
) -> tuple[list[Axes], list[str]]:
    """The axes that may vary, with their ranges; and why the others may not."""
    groups: dict[tuple[int, ...], list[Axis]] = {}
    for number, (name, tensor) in enumerate(zip(names, seen[0], strict=True)):
        for axis in range(tensor.dim() - name.endswith(COMPLEX)):
            shown = tuple(tensors[number].shape[axis] for tensors in seen)
            groups.setdefault(shown, []).append((number, axis))
    found: list[Axes] = []
    notes: list[str] = []
    for shown, axes in groups.items():
        moving, fixed = _sets(trials, axes, shown)
        for one in moving:
            if may := _range(trials, one, shown):
                found.append(Axes(one, list(shown), may))
            else:
                fixed += one
        for number, axis in sorted(fixed):
            why = trials.refusal({(number, axis): shown[0] + 1}) or "it goes with another"
            notes.append(f"'{names[number]}' has {shown[0]} in axis {axis} only: {why}")
    notes += _limit_together(trials, names, found)
    return [one for one in found if one.sizes], notes


def _range(trials: Trials, axes: Sequence[Axis], shown: Sequence[int]) -> Interval | Choices | None:
    return accepted_sizes(
        lambda size: trials.accepts(dict.fromkeys(axes, size)),
        shown,
        cheap=lambda: trials.seconds < _QUICK,
    )


def _sets(
    trials: Trials, axes: Sequence[Axis], shown: Sequence[int]
) -> tuple[list[list[Axis]], list[Axis]]:
    at = shown[0]

    def moves(some: Sequence[Axis]) -> bool:
        return any(trials.accepts(dict.fromkeys(some, n)) for n in probes(at))

    def apart(some: Sequence[Axis], rest: Sequence[Axis]) -> bool:
        """Both at different sizes, either the larger: 1 would broadcast, less may be indexed."""
        every = dict.fromkeys((*some, *rest))
        good = [n for n in dict.fromkeys((at, *probes(at))) if n > 1 and _all(trials, every, n)]
        both = [
            {**dict.fromkeys(some, a), **dict.fromkeys(rest, b)}
            for a, b in (good[:2], good[1::-1])
            if len(good) > 1
        ]
        return bool(both) and all(trials.accepts(s) and trials.accepts_masked(s) for s in both)

    alike = [axis for _, axis in axes]
    if len(set(shown)) > 1:  # the examples themselves show that they vary, together
        moving, fixed = sets_that_move(axes, lambda some: len(some) == len(axes), alike)
    else:
        moving, fixed = sets_that_move(axes, moves, alike)
    return [p for one in moving for p in sets_apart(one, apart, [a for _, a in one])], fixed


def _all(trials: Trials, axes: Mapping[Axis, None], size: int) -> bool:
    return trials.accepts(dict.fromkeys(axes, size))


def _limit_together(trials: Trials, names: Sequence[str], found: Sequence[Axes]) -> list[str]:
    """Cut ranges that hold for each dimension alone, not for all at once; says which it fixed."""
    at = [one.shown[0] for one in found]

    def wanted(sizes: Sequence[int]) -> dict[Axis, int]:
        both = zip(found, sizes, strict=True)
        return {axis: n for one, size in both for axis, n in one.at(_snapped(one, size)).items()}

    def accepts(sizes: Sequence[int]) -> bool:
        return trials.accepts(wanted(sizes))

    lows = common_range(at, [int(one.sizes.low) for one in found if one.sizes], accepts)
    highs = common_range(at, [int(one.sizes.high) for one in found if one.sizes], accepts)
    for one, low, high in zip(found, lows, highs, strict=True):
        if isinstance(one.sizes, Interval):
            ends = _snapped(one, min(low, *one.shown)), _snapped(one, max(high, *one.shown))
            one.sizes = Interval(*ends, one.sizes.step)
    notes = []
    for shift in range(_MIXED):
        sizes = [_some(one, shift + 3 * n) for n, one in enumerate(found)]
        while why := trials.refusal(wanted(sizes)):
            free = [
                n
                for n, one in enumerate(found)
                if one.sizes and sizes[n] != at[n] and len(set(one.shown)) == 1
            ]
            if not free:
                break
            alone = (n for n in reversed(free) if accepts([*sizes[:n], at[n], *sizes[n + 1 :]]))
            culprit = next(alone, free[-1])
            found[culprit].sizes, sizes[culprit] = None, at[culprit]
            number, axis = found[culprit].axes[0]
            notes.append(f"'{names[number]}' has {at[culprit]} in axis {axis} only: {why}")
    return notes


def _some(one: Axes, number: int) -> int:
    """One of a few sizes within the range: near its lower end, where divisors are few."""
    if not isinstance(one.sizes, Interval):
        return one.shown[0]
    steps = (1, 2, 4, 6, 10, 5, 12, 3)[number % 8]
    return _snapped(
        one, min(int(one.sizes.low + steps * (one.sizes.step or 1)), int(one.sizes.high))
    )


def _snapped(one: Axes, size: int) -> int:
    """The size nearest to it on the side of the example."""
    if isinstance(one.sizes, Choices):
        return min((int(v) for v in one.sizes.values), key=lambda v: abs(v - size))
    step, at = int((one.sizes and one.sizes.step) or 1), one.shown[0]
    return at + int((size - at) / step) * step


def named_axes(
    names: Sequence[str], tensors: Sequence[torch.Tensor], found: Sequence[Axes]
) -> tuple[tuple[TensorSpec, ...], tuple[Dim, ...]]:
    ranked = [n for n, t in zip(names, tensors, strict=True) if t.dim()]
    order = sorted(found, key=lambda one: one.axes)
    called = dim_names([[(names[i], axis) for i, axis in one.axes] for one in order], ranked)
    by_axis = {axis: name for one, name in zip(order, called, strict=True) for axis in one.axes}
    specs = tuple(
        TensorSpec(
            name,
            str(tensor.dtype).removeprefix("torch."),
            tuple(by_axis.get((i, axis), size) for axis, size in enumerate(tensor.shape)),
        )
        for i, (name, tensor) in enumerate(zip(names, tensors, strict=True))
    )
    dims = tuple(Dim(name, one.sizes) for one, name in zip(order, called, strict=True) if one.sizes)
    return specs, dims
