"""bfloat16 computed in float32: ONNX Runtime has none of its operators on CPUs, not even MatMul.

Weights, inputs and outputs stay as they are, with a Cast at each: the file is as small as before,
and a session keeps the weights in float32. What is computed is rounded less often than in PyTorch.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.kernels import cast
from toolkit.errors import NotApplicable

_TYPES = ("to", "dtype", "output_dtype")
"""Attributes that hold a type."""


def widen(model: ir.Model) -> None:
    """In place, subgraphs included. Raises NotApplicable where nothing is in bfloat16."""
    main = model.graph
    computed = (value for node in main.all_nodes() for value in node.outputs)
    if not any(map(_is_short, (*main.inputs, *main.initializers.values(), *computed))):
        raise NotApplicable("nothing is in bfloat16", "take another exporter")
    short = [number for number, value in enumerate(main.outputs) if _is_short(value)]
    for node in [*main.all_nodes()]:
        for name, attribute in [*node.attributes.items()]:
            if name in _TYPES and attribute.value == ir.DataType.BFLOAT16:
                node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT)
            elif attribute.type == ir.AttributeType.TENSOR and _is_short(attribute.value):
                wide = attribute.as_tensor().numpy().astype(np.float32)
                node.attributes[name] = ir.AttrTensor(name, ir.tensor(wide))
        for value in node.outputs:
            _become_float(value)
    for graph in model.graphs():
        for value in graph.inputs if graph is not main else ():
            _become_float(value)
        given = main.inputs if graph is main else ()
        for value in (*given, *graph.initializers.values()):
            if _is_short(value):
                _cast(graph, value)
    for number in short:
        main.outputs[number] = _cast_back(main, main.outputs[number])


def _cast(graph: ir.Graph, value: ir.Value) -> None:
    """Let all read it in float32, but for the caller, where it is an output as it is."""
    node = cast(value, f"{value.name}.wide", ir.DataType.FLOAT)
    value.replace_all_uses_with(node.outputs[0], replace_graph_outputs=False)
    node.replace_input_with(0, value)
    graph.insert_before(graph[0], node) if len(graph) else graph.append(node)


def _cast_back(graph: ir.Graph, value: ir.Value) -> ir.Value:
    if _is_short(value):  # an input or a weight that is returned
        return value
    node = cast(value, value.name, ir.DataType.BFLOAT16)
    value.name = f"{value.name}.wide"
    graph.append(node)
    return node.outputs[0]


def _is_short(typed: ir.Value | ir.TensorProtocol) -> bool:
    return typed.dtype == ir.DataType.BFLOAT16


def _become_float(value: ir.Value) -> None:
    if _is_short(value):
        value.dtype = ir.DataType.FLOAT
