"""Types for which ONNX Runtime has no kernel of an operator, though ONNX has one.

`torch.where(mask, seen, allowed)` of three boolean tensors came out as a Where that no CPU session
loads; so does a sort of bytes out of `torch.unique`. What chooses, orders or moves numbers gives
the same ones in a wider type: they are cast to it before, and back behind. Asked of ONNX Runtime
1.31 by a model of one node for each operator and type.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx import defs

_BOOL, _BYTE = ir.DataType.BOOL, ir.DataType.UINT8
_SMALL, _SHORT = ir.DataType.INT8, ir.DataType.INT16
_INT, _LONG = ir.DataType.INT32, ir.DataType.INT64

_Carriers = Mapping[ir.DataType, ir.DataType]

_SHORTS: _Carriers = {_SHORT: _INT}
_WIDER: _Carriers = {_BYTE: _INT, _SMALL: _INT, _SHORT: _INT}
_LONGER: _Carriers = dict.fromkeys((_BOOL, _BYTE, _SHORT, _INT), _LONG)
CARRIERS: Mapping[str, _Carriers] = {
    **dict.fromkeys(("Max", "Min", "Clip", "Pad", "Relu", "ArgMax", "ArgMin"), _SHORTS),
    **dict.fromkeys(("Trilu", "Einsum"), _WIDER),
    "Where": {_BOOL: _BYTE, _SHORT: _INT},
    "NonZero": {_SMALL: _INT, _SHORT: _INT, ir.DataType.DOUBLE: _BOOL},
    "Resize": {_BOOL: _BYTE, _SHORT: _INT},
    "Unique": _LONGER,
    "OneHot": {**_LONGER, _SMALL: _LONG},
}
"""By operator, the type that stands in for one that has no kernel."""


def carry(model: ir.Model) -> None:
    """In place, subgraphs included: cast to a type that has a kernel, and back."""
    for node in [*model.graph.all_nodes()]:
        carriers = CARRIERS.get(node.op_type) if node.domain == "" else None
        if carriers:
            _carry(node, carriers, model.opset_imports[""])


def _carry(node: ir.Node, carriers: _Carriers, opset: int) -> None:
    schema = defs.get_schema(node.op_type, opset)
    bound: dict[str, ir.DataType] = {}
    wide: dict[ir.Value, ir.Value] = {}
    for place, value in enumerate(node.inputs):
        if value is None or value.dtype is None:
            continue
        formal = schema.inputs[min(place, len(schema.inputs) - 1)]  # the last may be repeated
        carrier = carriers.get(value.dtype)
        if carrier is None or f"tensor({carrier.name.lower()})" not in formal.types:
            continue
        bound[formal.type_str] = value.dtype
        if value not in wide:
            before = cast(value, f"{value.name}.{node.name}", carrier)
            _graph(node).insert_before(node, before)
            wide[value] = before.outputs[0]
        node.replace_input_with(place, wide[value])
    for value, formal in zip([*node.outputs], schema.outputs, strict=False):
        if own := bound.get(formal.type_str):
            _behind(node, value, own, carriers[own])


def _behind(node: ir.Node, value: ir.Value, own: ir.DataType, carrier: ir.DataType) -> None:
    after = cast(value, value.name, own)
    value.replace_all_uses_with(after.outputs[0], replace_graph_outputs=True)
    after.replace_input_with(0, value)
    value.name, value.dtype = f"{value.name}.carried", carrier
    _graph(node).insert_after(node, after)


def cast(value: ir.Value, name: str | None, to: ir.DataType) -> ir.Node:
    """A node, in no graph yet, that gives the value in another type under that name."""
    node = ir.node("Cast", [value], {"to": to})
    (out,) = node.outputs
    out.name, out.dtype, out.shape = name, to, value.shape
    return node


def _graph(node: ir.Node) -> ir.Graph:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph
