"""Rewrites that change nothing: what a parity check must not call different.

Folding, simplifiers of others, ONNX Runtime's own optimized graphs at every level, other opsets,
other orders and names. A rewrite that does not apply, or fails by itself, gives None.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper, version_converter

Rewrite = Callable[[ModelProto], ModelProto]


def _folded(model: ModelProto) -> ModelProto:
    from onnxscript import ir, optimizer

    graph = ir.from_proto(model)
    optimizer.optimize(graph)
    found: ModelProto = ir.to_proto(graph)
    return found


def _onnxsim(model: ModelProto) -> ModelProto:
    import onnxsim

    found: ModelProto = onnxsim.simplify(model)[0]
    return found


def _onnxslim(model: ModelProto) -> ModelProto:
    import onnxslim

    found: ModelProto = onnxslim.slim(model)
    return found


def _optimized(model: ModelProto, *, level: str) -> ModelProto:
    """As ONNX Runtime leaves it: with its own operators, for this processor."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimized.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(str(path))


def _converted(model: ModelProto, *, opset: int) -> ModelProto:
    found: ModelProto = version_converter.convert_version(model, opset)
    return found


def _reordered(model: ModelProto) -> ModelProto:
    """Another topological order: each time the last node that is ready."""
    copy = _copy(model)
    nodes = list(copy.graph.node)
    made = {t.name for t in copy.graph.initializer} | {i.name for i in copy.graph.input} | {""}
    order = []
    while nodes:
        ready = [n for n in nodes if _reads(n) <= made or not _own(n, model) - made]
        chosen = ready[-1]
        order.append(chosen)
        made |= set(chosen.output)
        nodes.remove(chosen)
    del copy.graph.node[:]
    copy.graph.node.extend(order)
    return copy


def _reads(node: onnx.NodeProto) -> set[str]:
    return set(node.input)


def _own(node: onnx.NodeProto, model: ModelProto) -> set[str]:
    """What a node and its subgraphs read of the outer graph."""
    outer = {name for n in model.graph.node for name in n.output}
    read = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            read |= _own(inner, model)
        read |= {o.name for o in attribute.g.output}
    return read & outer


def _renamed(model: ModelProto) -> ModelProto:
    """All nodes and weights under other names."""
    copy = _copy(model)
    names = {t.name: f"w{n}" for n, t in enumerate(copy.graph.initializer)}
    if any(a.HasField("g") for n in copy.graph.node for a in n.attribute):
        names = {}  # a subgraph may name them too
    for tensor in copy.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for number, node in enumerate(copy.graph.node):
        node.name = f"n{number}"
        for at, name in enumerate(node.input):
            node.input[at] = names.get(name, name)
    return copy


def _constants(model: ModelProto) -> ModelProto:
    """Every weight as a Constant node."""
    copy = _copy(model)
    made = [
        helper.make_node("Constant", [], [t.name], name=f"constant_{t.name}", value=t)
        for t in copy.graph.initializer
    ]
    del copy.graph.initializer[:]
    nodes = list(copy.graph.node)
    del copy.graph.node[:]
    copy.graph.node.extend([*made, *nodes])
    return copy


def _negated_twice(model: ModelProto) -> ModelProto:
    """Each output through two Neg, or two Not, which change no bit."""
    copy = _copy(model)
    for output in copy.graph.output:
        kind = output.type.tensor_type.elem_type
        operator = {onnx.TensorProto.FLOAT: "Neg", onnx.TensorProto.BOOL: "Not"}.get(kind)
        if operator is None:
            continue
        name = output.name
        for node in copy.graph.node:
            for at, made in enumerate(node.output):
                if made == name:
                    node.output[at] = f"{name}__own"
            for at, read in enumerate(node.input):
                if read == name:
                    node.input[at] = f"{name}__own"
        copy.graph.node.extend(
            [
                helper.make_node(operator, [f"{name}__own"], [f"{name}__once"]),
                helper.make_node(operator, [f"{name}__once"], [name]),
            ]
        )
    return copy


def _split_weights(model: ModelProto) -> ModelProto:
    """Each matrix of a MatMul as its transpose and a Transpose."""
    copy = _copy(model)
    known = {t.name: t for t in copy.graph.initializer}
    nodes = []
    for node in copy.graph.node:
        tensor = known.get(node.input[1]) if node.op_type == "MatMul" else None
        if tensor is not None and len(tensor.dims) == 2:
            turned = f"{node.name}__turned"
            values = np.ascontiguousarray(numpy_helper.to_array(tensor).T)
            copy.graph.initializer.append(numpy_helper.from_array(values, turned))
            back = f"{turned}__back"
            nodes.append(helper.make_node("Transpose", [turned], [back], name=back, perm=[1, 0]))
            node.input[1] = back
        nodes.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


REWRITES: dict[str, Rewrite] = {
    "constant folding": _folded,
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    **{
        f"ONNX Runtime, {level.removeprefix('ORT_').lower()}": partial(_optimized, level=level)
        for level in (
            "ORT_DISABLE_ALL",
            "ORT_ENABLE_BASIC",
            "ORT_ENABLE_EXTENDED",
            "ORT_ENABLE_LAYOUT",
            "ORT_ENABLE_ALL",
        )
    },
    **{f"opset {opset}": partial(_converted, opset=opset) for opset in (19, 21, 22, 23)},
    "another order": _reordered,
    "other names": _renamed,
    "weights as constants": _constants,
    "outputs negated twice": _negated_twice,
    "weights transposed twice": _split_weights,
}


def rewritten(model: ModelProto, name: str) -> ModelProto | None:
    """What the rewrite makes of it; None where it cannot, or leaves all as it was.

    The metadata (the signature among it) is put back: some tools drop it.
    """
    try:
        found = REWRITES[name](model)
    except Exception:
        return None
    if not found.metadata_props:
        found.metadata_props.extend(model.metadata_props)
    return found
