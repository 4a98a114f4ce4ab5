"""Mutants that compute something else: swapped inputs, dropped terms, baked sizes, masks moved."""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from benchmarks.mutants import Generator, Kind, Site, array, store

_RELATED = {
    "Less": "LessOrEqual",
    "LessOrEqual": "Less",
    "Greater": "GreaterOrEqual",
    "GreaterOrEqual": "Greater",
    "And": "Or",
    "Or": "And",
    "Equal": "GreaterOrEqual",
}
_ACTIVATIONS = {
    "Relu": "Softplus",
    "Tanh": "Softsign",
    "Sigmoid": "HardSigmoid",
    "Erf": "Tanh",
    "Softmax": "LogSoftmax",
    "Sqrt": "Abs",
    "Floor": "Round",
    "ReduceMax": "ReduceMin",
    "ReduceMean": "ReduceSum",
    "MaxPool": "AveragePool",
}


def _swapped(site: Site, rng: Generator) -> bool:
    if len(site.node.input) < 2 or site.node.input[0] == site.node.input[1]:
        return False
    one, other = site.node.input[:2]
    site.node.input[0], site.node.input[1] = other, one
    return True


def _term_dropped(site: Site, rng: Generator) -> bool:
    """A sum of two computed values is one of them: a residual connection that is not there."""
    there = site.dynamic()
    if len(there) != 2:
        return False
    return _replace(site, "Identity", [site.node.input[int(rng.choice(there))]])


def _replace(site: Site, operator: str, inputs: list[str]) -> bool:
    node = site.node
    node.op_type = operator
    del node.attribute[:]
    del node.input[:]
    node.input.extend(inputs)
    return True


def _renamed(site: Site, rng: Generator, *, table: dict[str, str]) -> bool:
    site.node.op_type = table[site.node.op_type]
    if site.node.op_type == "AveragePool":
        kept = [a for a in site.node.attribute if a.name not in ("storage_order", "dilations")]
        del site.node.attribute[:]
        site.node.attribute.extend(kept)
    return True


def _through(site: Site, rng: Generator, *, first: int, back: int, wanted: int) -> bool:
    """What the node returns goes through a narrower type and back."""
    name = site.node.output[0]
    known = {v.name: v.type.tensor_type.elem_type for v in site.graph.value_info}
    if known.get(name) != wanted or name in {o.name for o in site.graph.output}:
        return False
    narrow, wide = f"{name}__narrow", f"{name}__wide"
    at = list(site.graph.node).index(site.node)
    for node in site.graph.node:
        for n, read in enumerate(node.input):
            if read == name:
                node.input[n] = wide
    casts = (
        helper.make_node("Cast", [name], [narrow], name=f"{site.node.name}__narrow", to=first),
        helper.make_node("Cast", [narrow], [wide], name=f"{site.node.name}__wide", to=back),
    )
    for offset, cast in enumerate(casts, 1):
        site.graph.node.insert(at + offset, cast)
    return True


def _shifted(site: Site, rng: Generator) -> bool:
    """A whole number that the node reads is one more: a mask, a slice or a shape off by one."""
    for number in rng.permutation(len(site.node.input)):
        tensor = site.weight(site.node.input[number]) if site.node.input[number] else None
        if tensor is not None and tensor.data_type == TensorProto.INT64:
            values = array(tensor)
            if values.size:
                values.reshape(-1)[int(rng.integers(values.size))] += 1
                return store(tensor, values)
    return False


def _baked(site: Site, rng: Generator) -> bool:
    """The size that was traced, where the program asked for the size that is."""
    numbers = np.array([2], np.int64)
    constant = numpy_helper.from_array(numbers, "")
    attributes = {a.name: helper.get_attribute_value(a) for a in site.node.attribute}
    if attributes.get("end") != attributes.get("start", 0) + 1:
        return False
    site.node.op_type = "Constant"
    del site.node.attribute[:]
    del site.node.input[:]
    site.node.attribute.append(helper.make_attribute("value", constant))
    return True


def _ways_swapped(site: Site, rng: Generator) -> bool:
    ways = {a.name: a for a in site.node.attribute}
    then, other = ways["then_branch"].g, ways["else_branch"].g
    kept = NodeProto()
    kept.CopyFrom(site.node)
    by_name = {a.name: a for a in kept.attribute}
    then.CopyFrom(by_name["else_branch"].g)
    other.CopyFrom(by_name["then_branch"].g)
    return True


def _trips(site: Site, rng: Generator) -> bool:
    """One step less, where the number of steps is a value."""
    if not site.node.input[0]:
        return False
    one = f"{site.node.name}__one"
    site.graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), one))
    fewer = f"{site.node.name}__fewer"
    made = helper.make_node("Sub", [site.node.input[0], one], [fewer], name=fewer)
    at = list(site.graph.node).index(site.node)
    site.node.input[0] = fewer
    site.graph.node.insert(at, made)
    return True


_FLOAT, _HALF, _BRAIN = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
KINDS = (
    Kind("inputs swapped", _swapped, frozenset({"Sub", "Div", "MatMul", "Pow", "Concat", "Gemm"})),
    Kind("a residual dropped", _term_dropped, frozenset({"Add", "Mul", "Sub"})),
    Kind("a comparison off by one", partial(_renamed, table=_RELATED), frozenset(_RELATED)),
    Kind("another function", partial(_renamed, table=_ACTIVATIONS), frozenset(_ACTIVATIONS)),
    Kind("a value through float16", partial(_through, first=_HALF, back=_FLOAT, wanted=_FLOAT)),
    Kind(
        "whole numbers through int32",
        partial(
            _through, first=TensorProto.INT32, back=TensorProto.INT64, wanted=TensorProto.INT64
        ),
    ),
    Kind("an index off by one", _shifted, frozenset({"Slice", "Gather", "Range", "Add", "Sub"})),
    Kind("a shape off by one", _shifted, frozenset({"Reshape", "Expand", "Tile", "Pad"})),
    Kind("a size baked", _baked, frozenset({"Shape"})),
    Kind("the ways of an If swapped", _ways_swapped, frozenset({"If"})),
    Kind("one step less of a Loop", _trips, frozenset({"Loop"})),
)
