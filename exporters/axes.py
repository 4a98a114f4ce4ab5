"""Axes of reductions counted from the front.

Of a tensor without elements ONNX Runtime (1.31) leaves out those that are counted from the back:
the sum of [0, 3] over axis -1 is [0, 3] there, and what comes next fails or is wrong. The edges of
a graph, or the pixels of a mask, may well be none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

_AXIS = ("ArgMax", "ArgMin")


def from_the_front(model: ir.Model) -> None:
    """In place, subgraphs included, wherever the rank is known."""
    made: dict[tuple[int, ...], ir.Value] = {}
    for node in [*model.graph.all_nodes()]:
        if node.domain or not (node.op_type in _AXIS or node.op_type.startswith("Reduce")):
            continue
        shape = node.inputs[0].shape if node.inputs[0] else None
        if shape is not None:
            _mend(model.graph, node, shape.rank(), made)


def _mend(graph: ir.Graph, node: ir.Node, rank: int, made: dict[tuple[int, ...], ir.Value]) -> None:
    if (axis := node.attributes.get("axis")) and axis.as_int() < 0:
        node.attributes["axis"] = ir.AttrInt64("axis", axis.as_int() + rank)
    if (several := node.attributes.get("axes")) and min(several.as_ints(), default=0) < 0:
        node.attributes["axes"] = ir.AttrInt64s("axes", _positive(several.as_ints(), rank))
    second = node.inputs[1] if len(node.inputs) > 1 else None
    given = ir.convenience.get_const_tensor(second) if second is not None else None
    if given is not None and min(given.numpy().flat, default=0) < 0:
        axes = _positive([*map(int, given.numpy().flat)], rank)
        if axes not in made:
            made[axes] = _constant(graph, axes)
        node.replace_input_with(1, made[axes])


def _positive(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    return tuple(axis % rank for axis in axes)


def _constant(graph: ir.Graph, axes: tuple[int, ...]) -> ir.Value:
    name = ".".join(("axes", *map(str, axes)))
    value = ir.Value(name=name, const_value=ir.tensor(np.array(axes, np.int64), name=name))
    value.shape, value.dtype = ir.Shape([len(axes)]), ir.DataType.INT64
    graph.register_initializer(value)
    return value
