"""A size that was baked into a graph: whole numbers that are computed from constants alone. Pure.

Exporters fold what depends on constants only. So where a shape or an index is still computed, step
by step, and all that it is computed from are constants, one of them stands where a size stood.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from toolkit.parity.landmarks import Step

_MADE = frozenset({"Constant", "ConstantOfShape", "Identity", "Range"})
"""What is left over constants on purpose: zeros and counts of a fixed size."""


def baked(
    steps: Sequence[Step], inputs: Collection[str], whole: Collection[str], start: Step
) -> Step | None:
    """The nearest step behind `start` that reads constants only.

    `whole`: the values that are whole numbers or booleans; the walk goes through these, and through
    what `start` reads.
    """
    made = {name: step for step in steps for name in step.outputs}
    queue, seen = [start], {start}
    while queue:
        step = queue.pop(0)
        behind = {name: made.get(name) for name in step.inputs}
        alone = all(b.operator == "Constant" if b else n not in inputs for n, b in behind.items())
        if alone and step.operator not in _MADE and {*step.outputs} & {*whole}:
            return step
        for name, b in behind.items():
            if b is not None and b not in seen and (name in whole or step is start):
                seen.add(b)
                queue.append(b)
    return None
