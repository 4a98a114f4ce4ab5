"""A part of a graph as a model of its own: its weights in it, the rest of its inputs fed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit.parity.landmarks import Step

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto


def upstream(
    steps: Sequence[Step], ends: Collection[str], stops: Collection[str]
) -> tuple[list[int], list[str]]:
    """The nodes that make `ends`, back to the values `stops`, and which of those they read."""
    made = {name: n for n, step in enumerate(steps) for name in step.outputs if name}
    waiting, found, fed = list(ends), set[int](), list[str]()
    while waiting:
        name = waiting.pop()
        if name in stops and name not in ends:
            fed.append(name)
        elif name in made and made[name] not in found:
            found.add(made[name])
            waiting += steps[made[name]].inputs
    return sorted(found), sorted(set(fed))


def before(steps: Sequence[Step], end: int, depth: int) -> set[int]:
    """A node and those up to `depth - 1` nodes before it."""
    made = {name: n for n, step in enumerate(steps) for name in step.outputs if name}
    found = {end}
    for _ in range(depth - 1):
        found |= {made[name] for n in found for name in steps[n].inputs if name in made}
    return found


def cut(
    model: ModelProto,
    nodes: Sequence[int],
    inputs: Mapping[str, np.ndarray],
    outputs: Collection[str],
) -> ModelProto:
    """Those nodes (by their place) of a model in memory, with `inputs` at their shapes.

    What the nodes read and is no input must be a weight of the main graph; it is taken along.
    Names, opsets and functions stay.
    """
    from onnx import helper

    part = type(model)()
    part.ir_version = model.ir_version
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    part.graph.name = model.graph.name
    part.graph.node.extend(model.graph.node[n] for n in nodes)
    for name, array in inputs.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        part.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    for name in outputs:
        part.graph.output.add().name = name
    read = {name for step in _read(part) for name in step}
    part.graph.initializer.extend(
        t for t in model.graph.initializer if t.name in read and t.name not in inputs
    )
    from onnx import shape_inference

    return shape_inference.infer_shapes(part)  # types of the outputs


def _read(model: ModelProto) -> list[tuple[str, ...]]:
    from toolkit.optimize.places import steps

    return [step.inputs for step in steps(model.graph)]
