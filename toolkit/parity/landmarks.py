"""What a program computed on the way, and which values of a graph are the same. Pure.

Values are compared by name where both have one, else by content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from math import inf

import numpy as np

from toolkit.parity.likeness import APART, MOVED, MOVING, SAME, UNKNOWN, alike, far
from toolkit.parity.sketch import Sketch, apart, stride

LAID_OUT = "output"
"""The operator of a landmark that is a module's output in another order of its axes."""

_OF_SHAPES = frozenset({"Shape", "Size"})


@dataclass(frozen=True)
class Step:
    """A node of a graph: what it reads and makes, the module and source line that it comes from."""

    node: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    module: str = ""
    line: str = ""


@dataclass(frozen=True)
class Landmark:
    """A value of the original. `yardstick`: how far float32 may be from it (`parity.verdict`)."""

    sketch: Sketch
    yardstick: float
    operator: str = ""
    module: str = ""
    line: str = ""
    number: int = 0
    """Which of this operator's values in this module it is; -1 for a weight."""


def depending(inputs: Iterable[str], steps: Iterable[Step]) -> set[str]:
    """These inputs and all values that are made of them."""
    found = set(inputs)
    for step in steps:
        if not found.isdisjoint(step.inputs):
            found.update(step.outputs)
    return found


@dataclass
class Map:
    """The values of a graph beside the landmarks of its original.

    `expected` is the landmark (its index) that a value must be, by their name; `alike` the one that
    stands at its place in a graph with other names.
    """

    inputs: Collection[str]
    steps: Sequence[Step]
    values: Mapping[str, Sketch]
    landmarks: Sequence[Landmark]
    factor: float
    expected: Mapping[str, int] = field(default_factory=dict)
    alike: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_size: dict[int, list[int]] = defaultdict(list)
        for index, landmark in enumerate(self.landmarks):
            self.by_size[landmark.sketch.size].append(index)
        self._probes = {
            size: np.stack([self.landmarks[i].sketch.elements[:: stride(size)] for i in found])
            for size, found in self.by_size.items()
        }
        self._limits = {
            size: np.array([self.factor * self.landmarks[i].yardstick for i in found])
            for size, found in self.by_size.items()
        }
        self.made_by = {name: step for step in self.steps for name in step.outputs if name}
        self.live = depending(self.inputs, self.steps)
        """What is made of weights alone is told by the weights."""
        self._doubted: frozenset[str] = frozenset()
        self._same = {name: self._match(name, value) for name, value in self.values.items()}
        found = {index for same in self._same.values() for index in same}
        self.lost = [
            index
            for index, mark in enumerate(self.landmarks)
            if index not in found and mark.number >= 0 and mark.sketch.telling
        ]
        """Landmarks that no value of the graph is."""
        self.matched = {name: same[0] for name, same in self._same.items() if same}
        self._made: dict[int, Step] = {}
        for step in self.steps:
            for name in step.outputs if step.operator not in MOVING else ():
                self._made |= {i: step for i in self._same.get(name, ()) if i not in self._made}

    def _match(self, name: str, value: Sketch) -> list[int]:
        """The landmarks that a value is: the expected one, else all whose content it has."""
        wanted = self.expected.get(name)
        if wanted is not None:
            return [wanted] if self.ratio(value, wanted) <= self.factor else []
        if not value.telling or value.size not in self.by_size:
            return []
        probe = value.elements[:: stride(value.size)]
        near = apart(self._probes[value.size], probe).max(axis=1, initial=0.0)
        candidates = self.by_size[value.size]
        close = [candidates[n] for n in np.flatnonzero(near <= self._limits[value.size])]
        return [index for index in close if self.ratio(value, index) <= self.factor]

    def is_right(self, name: str) -> bool:
        """Is it a value of the original, as far as is known?"""
        return name in self.matched and name not in self._doubted

    def doubting(self, names: Collection[str]) -> Map:
        """The same, where these are not right whatever the original has."""
        other = copy(self)
        other._doubted = self._doubted | {*names}
        return other

    def same(self, name: str) -> list[Landmark]:
        """All landmarks that a value is."""
        return [self.landmarks[index] for index in self._same.get(name, ())]

    def own(self, name: str, maker: Step) -> list[Landmark]:
        """Those of them that no node of the same operator before `maker` makes.

        A value that is normalized twice, or made positive, stays what it is.
        """
        made = {index: self._made.get(index, maker) for index in self._same.get(name, ())}
        return [
            self.landmarks[index]
            for index, first in made.items()
            if first == maker or first.operator != maker.operator
        ]

    def ratio(self, value: Sketch, index: int) -> float:
        landmark = self.landmarks[index]
        error = value.distance(landmark.sketch)
        if error == 0.0:
            return 0.0
        return error / landmark.yardstick if landmark.yardstick else inf

    def suspects(
        self, wrong: Iterable[str], is_right: Callable[[str], bool] | None = None
    ) -> list[Step]:
        """All between the wrong outputs and what is still right before them, in graph order."""
        is_right = is_right or self.is_right
        open_, seen = list(wrong), set[str]()
        while open_:
            step = self.made_by.get(open_.pop())
            if step is None or step.node in seen:
                continue
            seen.add(step.node)
            open_ += [name for name in step.inputs if not is_right(name)]
        return [step for step in self.steps if step.node in seen]

    def meant(self, step: Step) -> int | None:
        """The landmark that a node's value should have been; None where there is no telling."""
        for name in step.outputs:
            if name in self.values and not self.is_right(name):
                known = self.expected.get(name, self.alike.get(name))
                if known is not None:
                    return known
                if step.operator in _OF_SHAPES:
                    continue  # PyTorch has no tensor of these
                value = self.values[name]
                ranked = [
                    (near >= UNKNOWN, not alike(step.operator, mark.operator), near, i)
                    for i in self.lost
                    if (near := far(step.module, (mark := self.landmarks[i]).module)) < APART
                    and (near == SAME or mark.operator != LAID_OUT)
                    and _fits(step, value, mark)
                ]
                if ranked:
                    _, other, near, index = min(ranked)
                    if value.telling or not value.whole or (near == SAME and not other):
                        return index
        return self._of_another_size(step)

    def _of_another_size(self, step: Step) -> int | None:
        """The one of the same operator in the same module, where all that it reads is right."""
        made = [self.values[n] for n in step.outputs if n in self.values]
        read = [n for n in step.inputs if n in self.values]
        if step.operator in MOVING or not all(map(self.is_right, read)):
            return None
        for index in self.lost if any(not value.whole for value in made) else ():
            mark = self.landmarks[index]
            if far(step.module, mark.module) == SAME and alike(step.operator, mark.operator):
                return index
        return None


def _fits(step: Step, value: Sketch, mark: Landmark) -> bool:
    return (
        mark.sketch.size == value.size
        and (mark.sketch.whole or not value.whole)
        and (step.operator not in MOVING or mark.operator in MOVED)
    )
