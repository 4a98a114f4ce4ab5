"""Where two programs part: the first node of a graph whose value the original never had. Pure.

From an output that is wrong one walks back through values that are no landmark; a value that is
one was still right, unless one that should stand there is lost. What is passed on the way are the
suspects, and the first of them whose value should have been another is where it departs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from toolkit.parity.landmarks import Landmark, Map, Step
from toolkit.parity.likeness import MOVED, MOVING, SAME, UNKNOWN, agree, far, stands_for
from toolkit.parity.located import Departure, Layer
from toolkit.parity.misshapen import misshapen

_OF_STEPS = frozenset({"RNN", "GRU", "LSTM"})


def first(
    here: Map, wrong: Iterable[str], changed: Collection[str] = ()
) -> tuple[Step, int | None] | None:
    """The first node that departs on the way to the outputs `wrong`; None where none is seen.

    With it the landmark that its value should have been, where there is one. `changed` are
    weights that differ from the original's: a suspect that reads one needs no further proof.
    """
    wrong = [*wrong]
    while found := _first(here, wrong, changed):
        doubts = _doubts(here, *found)
        if not doubts:
            return _before(here, *found)
        here = here.doubting(doubts)
    return None


def _before(here: Map, step: Step, meant: int | None) -> tuple[Step, int | None]:
    """What makes more numbers than it should, or less, may have been given such a shape."""
    sizes = {here.values[name].size for name in step.outputs if name in here.values}
    if meant is not None and sizes and here.landmarks[meant].sketch.size not in sizes:
        before = misshapen(here, step.inputs)
        return (before, None) if before else (step, meant)
    return step, meant


def _first(
    here: Map, wrong: Iterable[str], changed: Collection[str]
) -> tuple[Step, int | None] | None:
    suspects = [
        step
        for step in here.suspects(wrong)
        if here.live & {*step.outputs} or any(n in changed for n in step.inputs)
    ]
    first: tuple[Step, int | None] | None = None
    for step in suspects:
        meant = here.meant(step)
        proven = any(name in changed for name in step.inputs)
        if meant is None and not proven and not _is_lost_within(here, step):
            continue
        if first is None or proven:
            first = step, meant
        if proven or step.operator not in MOVING:
            break
    return first or ((_likeliest(here, suspects), None) if suspects else None)


def _doubts(here: Map, step: Step, meant: int | None) -> set[str]:
    """What `step` reads that is a value of the original, but may be another one than it should.

    Such as the input of a layer that was left out: it is one that the original has, while the
    one that the layer makes is lost.
    """
    doubts: set[str] = set()
    if meant is None:
        return doubts
    lost = [index for index in here.lost if index < meant]
    for name in step.inputs:
        way: list[str] = []
        while name in here.live and here.is_right(name) and name in here.made_by:
            way.append(name)
            maker = here.made_by[name]
            if _is_another(here, name, maker, lost):
                doubts.update(way)
            if maker.operator not in MOVING:
                break
            name = maker.inputs[0]  # noqa: PLW2901
    return doubts


def _is_another(here: Map, name: str, maker: Step, lost: Sequence[int]) -> bool:
    """Is it no value of its module that `maker` may have made, while one of these is lost?

    What was only moved since is one of them: exporters have another order of axes than PyTorch.
    """

    def made(mark: Landmark) -> bool:
        near = far(maker.module, mark.module)
        close = near == SAME if maker.operator in MOVING else near < UNKNOWN
        return close and stands_for(maker.operator, mark.operator)

    def moved(mark: Landmark) -> bool:
        return agree(maker.module, mark.module) and mark.operator in MOVED

    if any(made(mark) or moved(mark) for mark in here.own(name, maker)):
        return False
    size, marks = here.values[name].size, (here.landmarks[index] for index in lost)
    return any(mark.sketch.size == size and made(mark) for mark in marks)


def _likeliest(here: Map, suspects: Sequence[Step]) -> Step:
    """Where nothing else tells, the first that computes numbers and not sizes or masks."""
    for step in suspects:
        if any(n in here.values and not here.values[n].whole for n in step.outputs):
            return step
    return suspects[-1]


def _is_lost_within(here: Map, step: Step) -> bool:
    """Is it one node for a module of many steps, none of which is its value, some of them lost?

    Of a packed sequence PyTorch computes one step after the other, of as many rows as go on.
    """
    return (
        step.operator in _OF_STEPS
        and bool(step.module)
        and any(far(step.module, here.landmarks[i].module) == SAME for i in here.lost)
    )


def departure(here: Map, step: Step, meant: int | None) -> Departure:
    """What is told of a node and the landmark that its value should have been."""
    module, line = step.module, step.line
    if meant is None:
        return Departure(step.node, step.operator, module, line)
    landmark = here.landmarks[meant]
    if landmark.module and (not module or agree(module, landmark.module)):
        module = landmark.module
    values = [here.values[n] for n in step.outputs if n in here.values]
    ratio = min((here.ratio(v, meant) for v in values), default=0.0)
    line = line or landmark.line
    return Departure(step.node, step.operator, module, line, ratio, landmark.operator)


def profile(here: Map) -> tuple[Layer, ...]:
    """The largest error of each module's values, over those that have a landmark."""
    worst: dict[str, float] = {}
    for step in here.steps:
        for name in step.outputs:
            named = here.expected.get(name, here.alike.get(name))
            index = here.matched.get(name, named)
            if index is None or name not in here.values:
                continue
            module = here.landmarks[index].module or step.module
            ratio = here.ratio(here.values[name], index)
            worst[module] = max(worst.get(module, 0.0), ratio)
    return tuple(Layer(module, ratio) for module, ratio in worst.items())


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
