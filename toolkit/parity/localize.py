"""Where two programs part: the first node of a graph whose value the original never had. Pure.

The values of a graph are compared with landmarks: what the original computed on the same feed, by
name where both have one, else by content. From an output that is wrong one walks back through
values that are no landmark; a value that is one was still right. What is passed on the way are the
suspects, and the first of them whose value should have been another is where it departs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from toolkit.parity.located import Departure, Layer
from toolkit.parity.sketch import Sketch, apart, stride

_MOVING = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Operators that may lay out a right value in another way than the original does."""


_MOVED = frozenset(
    {"transpose", "permute", "t", "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"}
    | {"clone", "expand", "alias", "detach"}
)
"""What PyTorch calls those."""

_OF_STEPS = frozenset({"RNN", "GRU", "LSTM"})
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
        self._by_size: dict[int, list[int]] = defaultdict(list)
        for index, landmark in enumerate(self.landmarks):
            self._by_size[landmark.sketch.size].append(index)
        self._probes = {
            size: np.stack([self.landmarks[i].sketch.elements[:: stride(size)] for i in found])
            for size, found in self._by_size.items()
        }
        self._limits = {
            size: np.array([self.factor * self.landmarks[i].yardstick for i in found])
            for size, found in self._by_size.items()
        }
        self.matched: dict[str, int] = {}
        self._found: set[int] = set()
        for name, value in self.values.items():
            found = self._match(name, value)
            if found is not None:
                self.matched[name] = found

    def _match(self, name: str, value: Sketch) -> int | None:
        """The landmark that a value is: the expected one, else the first whose content it has."""
        wanted = self.expected.get(name)
        if wanted is not None:
            return wanted if self.ratio(value, wanted) <= self.factor else None
        if not value.telling or value.size not in self._by_size:
            return None
        probe = value.elements[:: stride(value.size)]
        near = apart(self._probes[value.size], probe).max(axis=1, initial=0.0)
        candidates = self._by_size[value.size]
        close = [candidates[n] for n in np.flatnonzero(near <= self._limits[value.size])]
        same = [index for index in close if self.ratio(value, index) <= self.factor]
        self._found.update(same)  # a view of what another operator made has the same content
        return same[0] if same else None

    def ratio(self, value: Sketch, index: int) -> float:
        landmark = self.landmarks[index]
        error = value.distance(landmark.sketch)
        if error == 0.0:
            return 0.0
        return error / landmark.yardstick if landmark.yardstick else inf

    def first(
        self, wrong: Iterable[str], changed: Collection[str] = ()
    ) -> tuple[Step, int | None] | None:
        """The first node that departs on the way to the outputs `wrong`; None where none is seen.

        With it the landmark that its value should have been, where there is one. `changed` are
        weights that differ from the original's: a suspect that reads one needs no further proof.
        """
        live = self.live()
        suspects = [
            step
            for step in self._suspects(wrong)
            if live & {*step.outputs} or any(name in changed for name in step.inputs)
        ]
        lost = self._lost()
        first: tuple[Step, int | None] | None = None
        for step in suspects:
            meant = self._meant(step, lost)
            proven = any(name in changed for name in step.inputs)
            if meant is None and not proven and not self._is_lost_within(step, lost):
                continue
            if first is None or proven:
                first = step, meant
            if proven or step.operator not in _MOVING:
                break
        return first or ((self._likeliest(suspects), None) if suspects else None)

    def misshapen(self, names: Iterable[str]) -> Step | None:
        """The first on the way to these values that makes as many numbers as no landmark has.

        For a run that ends in a refusal: where shapes do not fit there is no value to compare.
        """
        for step in self._suspects(names):
            made = [self.values[n] for n in step.outputs if n in self.values]
            if any(not v.whole and v.telling and v.size not in self._by_size for v in made):
                return step
        return None

    def _likeliest(self, suspects: Sequence[Step]) -> Step:
        """Where nothing else tells, the first that computes numbers and not sizes or masks."""
        for step in suspects:
            if any(n in self.values and not self.values[n].whole for n in step.outputs):
                return step
        return suspects[0]

    def _is_lost_within(self, step: Step, lost: Sequence[int]) -> bool:
        """Is it one node for a module of many steps, none of which is its value, some of them lost?

        Of a packed sequence PyTorch computes one step after the other, of as many rows as go on.
        """
        return (
            step.operator in _OF_STEPS
            and bool(step.module)
            and any(_far(step.module, self.landmarks[i].module) == 0 for i in lost)
        )

    def departure(self, step: Step, meant: int | None) -> Departure:
        """What is told of a node and the landmark that its value should have been."""
        module, line = step.module, step.line
        if meant is None:
            return Departure(step.node, step.operator, module, line)
        landmark = self.landmarks[meant]
        if landmark.module and (not module or agree(module, landmark.module)):
            module = landmark.module
        values = [self.values[n] for n in step.outputs if n in self.values]
        ratio = min((self.ratio(v, meant) for v in values), default=0.0)
        line = line or landmark.line
        return Departure(step.node, step.operator, module, line, ratio, landmark.operator)

    def live(self) -> set[str]:
        """Values that depend on the input; what is made of weights alone is told by the weights."""
        return depending(self.inputs, self.steps)

    def _suspects(self, wrong: Iterable[str]) -> list[Step]:
        """All between the wrong outputs and what is still right before them, in graph order."""
        made_by = {name: step for step in self.steps for name in step.outputs if name}
        open_, seen = list(wrong), set[str]()
        while open_:
            step = made_by.get(open_.pop())
            if step is None or step.node in seen:
                continue
            seen.add(step.node)
            open_ += [name for name in step.inputs if name not in self.matched]
        return [step for step in self.steps if step.node in seen]

    def _lost(self) -> list[int]:
        """Landmarks that no value of the graph is."""
        found = self._found | set(self.matched.values())
        return [
            i
            for i, mark in enumerate(self.landmarks)
            if i not in found and mark.number >= 0 and mark.sketch.telling
        ]

    def _meant(self, step: Step, lost: Sequence[int]) -> int | None:
        """The landmark that a node's value should have been; None where there is no telling."""
        for name in step.outputs:
            if name in self.values and name not in self.matched:
                known = self.expected.get(name, self.alike.get(name))
                if known is not None:
                    return known
                value = self.values[name]
                if value.whole and (not value.telling or step.operator in _OF_SHAPES):
                    continue  # a mask that happens to be all the same; sizes, which torch has not
                fitting = (
                    i
                    for i in lost
                    if self.landmarks[i].sketch.size == value.size
                    and (self.landmarks[i].sketch.whole or not value.whole)
                    and (step.operator not in _MOVING or self.landmarks[i].operator in _MOVED)
                )
                ranked = [
                    (
                        _far(step.module, self.landmarks[i].module),
                        not _alike(step.operator, self.landmarks[i].operator),
                        i,
                    )
                    for i in fitting
                ]
                rank, _, index = min(ranked, default=(_APART, True, 0))
                if rank < _APART:
                    return index
        return None

    def profile(self) -> tuple[Layer, ...]:
        """The largest error of each module's values, over those that have a landmark."""
        worst: dict[str, float] = {}
        for step in self.steps:
            for name in step.outputs:
                named = self.expected.get(name, self.alike.get(name))
                index = self.matched.get(name, named)
                if index is None or name not in self.values:
                    continue
                module = self.landmarks[index].module or step.module
                ratio = self.ratio(self.values[name], index)
                worst[module] = max(worst.get(module, 0.0), ratio)
        return tuple(Layer(module, ratio) for module, ratio in worst.items())


_UNKNOWN, _APART = 2, 3


def _far(ours: str, theirs: str) -> int:
    """How far two paths are from naming one module: 0 the same, 1 one within the other.

    Exporters leave out containers and modules of PyTorch's: `layers.0` may be `encoder.layers.0`
    or `layers.0.self_attn`. A node of the whole model, or of a module that is not noted, is of any.
    """
    if ours == theirs:
        return 0
    if not ours:
        return _UNKNOWN
    within = f".{ours}." in f".{theirs}." or (theirs and f".{theirs}." in f".{ours}.")
    return 1 if within else _APART


_IN_TORCH = {
    "Gemm": ("addmm", "linear"),
    "MatMul": ("mm", "matmul"),
    "Conv": ("convolution",),
    "Gather": ("embedding", "index"),
    "Where": ("where", "masked_fill"),
    "Clip": ("clamp",),
    "Concat": ("cat",),
    "ReduceMean": ("mean",),
    "ReduceSum": ("sum",),
}
"""What PyTorch calls operators of ONNX that have another name there."""


def _alike(operator: str, theirs: str) -> bool:
    """Are an operator of ONNX and one of PyTorch the same by their names?"""
    plain = theirs.replace("_", "").lower()
    stems = _IN_TORCH.get(operator, (operator.removesuffix("alization").lower(),))
    return any(stem.replace("_", "") in plain for stem in stems)


def agree(ours: str, theirs: str) -> bool:
    """May two paths name one module?"""
    return _far(ours, theirs) < _UNKNOWN


def steepest(steps: Sequence[Step], errors: Mapping[str, float], factor: float) -> Departure | None:
    """The node that adds most to the error: of its value over that of what it reads.

    `errors` are in yardsticks, by value. None where no node adds more than `factor`.
    """
    best: tuple[float, Step] | None = None
    for step in steps:
        before = max((errors.get(name, 0.0) for name in step.inputs), default=0.0)
        after = max((errors.get(name, 0.0) for name in step.outputs), default=0.0)
        growth = after / max(1.0, before) if after < inf or before < inf else 0.0
        if growth > factor and (best is None or growth > best[0]):
            best = growth, step
    if best is None:
        return None
    ratio, step = best
    return Departure(step.node, step.operator, step.module, step.line, ratio)
