"""From torch's ONNX program to a file: weights shared, the graph optimized, each written once.

torch's own way leaves equal weights apart unless they are one Parameter, folds the transpose of a
small tied matrix into a second one, and names what it transposed val_N. Its optimizer gives two
clamps of one tensor the same names for their limits, and the file does not load, or has the limits
of one for both; and it takes 1e-8 for 0 and 1.00001 for 1, and leaves out what adds or multiplies
by these: the epsilon of a norm is gone, and a row of zeros is NaN (onnxscript 0.7.2).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import _matcher
from onnxscript.rewriter._context import TapeBuilder

from exporters.axes import from_the_front
from exporters.kernels import carry
from toolkit.external import ALIGNMENT, SMALL
from toolkit.optimize.sharing import bits, equal, marks
from toolkit.parity.weights import TRANSPOSED
from toolkit.signature import Signature

Pass = Callable[[ir.Model], None]
"""What changes an optimized model before it is written."""


def write(program: Any, path: Path, signature: Signature, passes: Iterable[Pass] = ()) -> None:
    """Write an unoptimized torch.onnx.ONNXProgram, large weights in a file beside `path`."""
    share(program.model.graph)
    name_transposed(program.model.graph)
    with _named_apart(), _exact():
        program.optimize()
    graph = program.model.graph
    _name(graph.inputs, [s.name for s in signature.inputs])
    _name(graph.outputs, [s.name for s in signature.outputs])
    _set_apart(graph)
    for change in (from_the_front, carry, *passes):
        change(program.model)
    weights = [v.const_value for g in program.model.graphs() for v in g.initializers.values()]
    heavy = any(tensor is not None and tensor.nbytes > SMALL for tensor in weights)
    ir.save(
        program.model,
        path,
        external_data=f"{path.name}.data" if heavy else None,
        size_threshold_bytes=SMALL,
        alignment=ALIGNMENT,
        align_threshold=SMALL,
    )


@contextmanager
def _named_apart() -> Iterator[None]:
    """Give constants that rewrites of the optimizer make a name each."""
    own, seen = TapeBuilder.initializer, Counter[str]()

    def initializer(self: TapeBuilder, tensor: Any, name: str | None = None) -> ir.Value:
        made = own(self, tensor, name)
        seen[str(made.name)] += 1
        if (number := seen[str(made.name)]) > 1:
            made.name = f"{made.name}.{number}"
        return made

    with mock.patch.object(TapeBuilder, "initializer", initializer):
        yield


def _exact() -> AbstractContextManager[Any]:
    """Rules of the optimizer are for the numbers that they name, not for those near them."""
    exact = SimpleNamespace(isclose=lambda value, named, **_: value == named)
    return mock.patch.object(_matcher, "math", exact)


def share(graph: ir.Graph) -> None:
    """Make one of all weights that have the same bytes, or that are the transpose of another."""
    kept: defaultdict[Any, list[ir.Value]] = defaultdict(list)
    for value in [*graph.initializers.values()]:
        content = _content(value)
        if content is None or value.is_graph_input() or value.is_graph_output():
            continue
        if same := _found(content, kept[marks(content)]):
            _replace(graph, value, same)
        elif content.ndim == 2 and (other := _found(content.T, kept[marks(content.T)])):
            node = ir.node("Transpose", [other], {"perm": [1, 0]})
            node.outputs[0].name = f"{value.name}.transposed"
            graph.insert_before(graph[0], node)
            _replace(graph, value, node.outputs[0])
        else:
            kept[marks(content)].append(value)


def name_transposed(graph: ir.Graph) -> None:
    """Name what an optimizer makes of a transposed weight after that weight."""
    done: dict[str, ir.Value] = {}
    for node in [*graph]:
        weight = node.inputs[0] if node.op_type == "Transpose" else None
        if weight is None or not weight.is_initializer() or not _swaps(node):
            continue
        output, name = node.outputs[0], f"{weight.name}{TRANSPOSED}"
        if name in done and not output.is_graph_output():
            output.replace_all_uses_with(done[name])
            graph.remove(node, safe=True)
        elif name not in done and name not in graph.initializers:
            output.name, done[name] = name, output


def _swaps(node: ir.Node) -> bool:
    """Does a Transpose swap the two axes of a matrix?"""
    order = node.attributes.get("perm")
    given = [*order.as_ints()] if order else []
    shape = node.inputs[0].shape if node.inputs[0] else None
    return given == [1, 0] or (not given and shape is not None and shape.rank() == 2)


def _replace(graph: ir.Graph, value: ir.Value, other: ir.Value) -> None:
    value.replace_all_uses_with(other)
    assert value.name is not None
    graph.initializers.pop(value.name)


def _content(value: ir.Value) -> np.ndarray | None:
    """The bits of a weight, in the memory of the module; None for what is not large."""
    tensor = value.const_value
    large = tensor is not None and tensor.nbytes > SMALL
    return bits(tensor.numpy()) if tensor is not None and large else None


def _found(content: np.ndarray, among: Iterable[ir.Value]) -> ir.Value | None:
    for value in among:
        other = _content(value)
        if other is not None and equal(content, other):
            return value
    return None


def _name(values: Iterable[ir.Value], names: Iterable[str]) -> None:
    for value, name in zip(values, names, strict=False):  # their number is checked later
        value.name = name


def _set_apart(graph: ir.Graph) -> None:
    """Rename inner values that have the name of an output: torch 2.13 writes the name twice."""
    public = {value.name for value in (*graph.inputs, *graph.outputs)}
    outputs = {id(value) for value in graph.outputs}
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.name in public and id(value) not in outputs:
                value.name = f"{value.name}.inner"
