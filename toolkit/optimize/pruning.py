"""What no output depends on: nodes, weights, opset imports. And calls of local functions, inlined.

Inputs stay, used or not: they are the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.proto import graphs

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


def inlined(model: ModelProto) -> ModelProto:
    """The model with the bodies of its local functions in place of their calls.

    Some loaders (tract, TensorRT's parser) know no local functions.
    """
    if not model.functions:
        return model
    from onnx import inliner

    return inliner.inline_local_functions(model)


def prune(model: ModelProto) -> None:
    """Remove, in place, what does not lead to an output, in subgraphs too."""
    _prune(model.graph)
    drop_unused_opsets(model)


def drop_unused_opsets(model: ModelProto) -> None:
    """Keep the opset imports that a node uses: strict loaders refuse domains they do not know."""
    used = {node.domain for g in graphs(model.graph) for node in g.node}
    used |= {node.domain for f in model.functions for node in f.node}
    used |= {"", *(f.domain for f in model.functions)}
    kept = [o for o in model.opset_import if o.domain in used or (o.domain == "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _prune(graph: GraphProto) -> set[str]:
    """Returns the names that the graph takes, its own and those of the graphs around it."""
    needed = {value.name for value in graph.output}
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if not needed.intersection(filter(None, node.output)):
            del graph.node[index]
            continue
        needed.update(node.input)
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + [*attribute.graphs]:
                needed |= _prune(inner)
    unused = [i for i, tensor in enumerate(graph.initializer) if tensor.name not in needed]
    for index in reversed(unused):
        del graph.initializer[index]
    return needed
