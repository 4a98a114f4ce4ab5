"""What operators are told, in PyTorch as they are called and in ONNX as attributes. A table. Pure.

A module says its epsilon; `functional.gelu(x, approximate="tanh")` says nothing before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from toolkit.proto import all_nodes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Value = str | float


class Told(NamedTuple):
    """One argument of one operator of PyTorch, in the module that calls it."""

    module: str
    operator: str
    argument: str
    value: Value


@dataclass(frozen=True)
class Attribute:
    """`default` is what a node means that does not say; `sources` are the arguments, by operator of
    PyTorch, that it is made of; a number among them is what that operator always means."""

    default: Value
    sources: Mapping[str, str | float]


_BATCH = {"native_batch_norm": "eps", "cudnn_batch_norm": "epsilon", "miopen_batch_norm": "epsilon"}
_GROUPS = {"native_group_norm": "eps"}
_HARD = {"hardsigmoid": 1 / 6, "hardswish": 1 / 6}
"""ONNX's own default is 0.2."""

ATTRIBUTES: Mapping[tuple[str, str], Attribute] = {
    ("Gelu", "approximate"): Attribute("none", {"gelu": "approximate"}),
    ("LeakyRelu", "alpha"): Attribute(0.01, {"leaky_relu": "negative_slope"}),
    ("Elu", "alpha"): Attribute(1.0, {"elu": "alpha"}),
    ("Celu", "alpha"): Attribute(1.0, {"celu": "alpha"}),
    ("HardSigmoid", "alpha"): Attribute(0.2, _HARD),
    ("Shrink", "lambd"): Attribute(0.5, {"hardshrink": "lambd", "softshrink": "lambd"}),
    ("BatchNormalization", "epsilon"): Attribute(1e-5, _BATCH),
    ("GroupNormalization", "epsilon"): Attribute(1e-5, _GROUPS),
    ("InstanceNormalization", "epsilon"): Attribute(1e-5, _BATCH | _GROUPS),
    ("LayerNormalization", "epsilon"): Attribute(1e-5, {"native_layer_norm": "eps"}),
}
"""By operator and attribute of ONNX."""

_OPERATORS = {operator for operator, _ in ATTRIBUTES}

ARGUMENTS: Mapping[str, frozenset[str | float]] = {
    operator: frozenset(a.sources[operator] for a in ATTRIBUTES.values() if operator in a.sources)
    for operator in {name for a in ATTRIBUTES.values() for name in a.sources}
}
"""What is asked of each operator of PyTorch."""


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Those of the table, in subgraphs and functions too, always in the same order."""
    for node in all_nodes(model):
        if node.op_type in _OPERATORS and node.domain in ("", "ai.onnx"):
            yield node


def says(node: NodeProto) -> Iterator[tuple[str, Value]]:
    """The attributes of the table and what they say; not one that a function's caller decides."""
    given = {a.name: a for a in node.attribute}
    for (operator, name), attribute in ATTRIBUTES.items():
        if operator != node.op_type:
            continue
        found = given.get(name)
        if found is None:
            yield name, attribute.default
        elif not found.ref_attr_name:
            yield name, found.s.decode() if isinstance(attribute.default, str) else found.f
