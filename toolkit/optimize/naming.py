"""Names that say where a value comes from: `encoder.layers.0.linear1/Gemm`.

Nodes are named after the path of their module and their operator, values after the node that makes
them, weights as in the module's state_dict, other constants after the input that they are. The
same graph always gets the same names; inputs and outputs keep theirs.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from toolkit.proto import graphs

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

PREFIX = "model."
"""What `model.Flat` and so the exporters put before the names of the user's own module."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""Under this key torch's exporter keeps the path of modules that a node comes from."""


def rename(model: ModelProto) -> None:
    """Give nodes, weights and values readable names, in place, in subgraphs too.

    Functions must have been inlined, and the weights of the user's module begin with PREFIX.
    """
    graph = model.graph
    public = {value.name: value.name for value in (*graph.input, *graph.output)}
    names = Names(public)
    weights = _weights(graph, names)
    for inner in graphs(graph):
        for node in inner.node:
            node.name = names.new("/".join(filter(None, (path(node), node.op_type))))
    _rename(graph, weights, public, names, _uses(model))


class Names:
    """Hands out each name once: a second `a/Relu` is `a/Relu_2`."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken, self._count = set(taken), Counter[str]()

    def new(self, wanted: str) -> str:
        while True:
            self._count[wanted] += 1
            count = self._count[wanted]
            name = wanted if count == 1 else f"{wanted}_{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def path(node: NodeProto) -> str:
    """The path of the module that a node comes from, "" where it is unknown or the whole model.

    torch's exporter notes it in the metadata, TorchScript's in the node's name: `/model/out/Add`.
    """
    noted = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    if noted:
        modules = listed(noted)[:-1]  # the last one is the operator's
        found = modules[-1] if modules else ""
    else:
        found = ".".join(filter(None, node.name.split("/")[:-1]))
    found = "" if found.startswith("_") else re.sub(r"@\d+$", "", found)  # @1: called once more
    return f"{found}.".removeprefix(PREFIX).removesuffix(".")


def listed(text: str) -> list[str]:
    """The list that a note of torch's holds as text; empty where it holds none."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


class Use(NamedTuple):
    """One place that takes a value."""

    node: str
    parameter: str

    def __str__(self) -> str:
        return f"{self.node}.{self.parameter}"


def _uses(model: ModelProto) -> Mapping[str, list[Use]]:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    uses: defaultdict[str, list[Use]] = defaultdict(list)
    for graph in graphs(model.graph):
        for node in graph.node:
            version = opsets.get(node.domain, 1)
            parameters = _parameters(node.op_type, version, node.domain)
            for index, name in enumerate(node.input):
                named = parameters[index] if index < len(parameters) else str(index)
                uses[name].append(Use(node.name, named))
    return uses


@cache
def _parameters(operator: str, version: int, domain: str) -> tuple[str, ...]:
    """The names of an operator's inputs in ONNX's specification, without a variadic one."""
    from onnx import defs

    try:
        inputs = defs.get_schema(operator, version, domain).inputs
    except defs.SchemaError:
        return ()
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return tuple(p.name for p in inputs if p.option != variadic)


def _weights(graph: GraphProto, names: Names) -> dict[str, str]:
    """The weights of the user's module, without PREFIX; first of all, so that they get the name."""
    outputs = {value.name for value in graph.output}
    found = (t.name for t in graph.initializer if t.name.startswith(PREFIX))
    return {n: names.new(n.removeprefix(PREFIX)) for n in found if n not in outputs}


def _rename(
    graph: GraphProto,
    outer: Mapping[str, str],
    fixed: Mapping[str, str],
    names: Names,
    uses: Mapping[str, list[Use]],
) -> None:
    """Rename all that a graph defines, but for `fixed`; `outer` is what it may capture."""
    known = dict(outer)
    for value in graph.input:
        known[value.name] = fixed.get(value.name) or names.new(value.name)
    for tensor in graph.initializer:
        if tensor.name not in known:
            known[tensor.name] = fixed.get(tensor.name) or names.new(_constant(tensor, uses))
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = known.get(name, name)
        for attribute in node.attribute:
            for inner in _inner(attribute):
                _rename(inner, known, {}, names, uses)
        for index, name in enumerate(node.output):
            if name:
                made = node.name if index == 0 else f"{node.name}.{index}"
                known[name] = fixed.get(name) or (names.new(made) if index else made)
                node.output[index] = known[name]
    for entry in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
        entry.name = known.get(entry.name, entry.name)


def _constant(tensor: TensorProto, uses: Mapping[str, list[Use]]) -> str:
    """After the only node that takes it, or by its value."""
    found = uses[tensor.name]
    if len({use.node for use in found}) == 1:
        return str(found[0])
    if prod(tensor.dims) != 1 or tensor.external_data or tensor.data_type == tensor.STRING:
        return "constant"
    from onnx import numpy_helper

    value = numpy_helper.to_array(tensor).item()
    return f"constant/{value:.6g}" if isinstance(value, float) else f"constant/{value}"


def _inner(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs
