"""What every exporter leaves to mend: names, frozen shapes, traces of the author's machine.

A repaired file has the inputs, outputs and dimension names of the signature, shapes that were
inferred from the graph and not left over from the trace, and no path of the author's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from toolkit.artifact import OnnxArtifact, Provenance, save
from toolkit.dtypes import DTYPES
from toolkit.errors import ExportRefused
from toolkit.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

_LEAKS = ("pkg.torch.onnx.stack_trace", "pkg.torch.export.ExportedProgram")
_PREFIX = "model."
"""The name that `model.Flat` gives the user's module: not part of his names."""


def normalize(raw: Path, out: Path, signature: Signature, provenance: Provenance) -> OnnxArtifact:
    """Repair what an exporter wrote at `raw` and save it at `out` with signature and provenance.

    Raises ExportRefused where the graph's inputs or outputs are not those of the signature.
    """
    model = onnx.load(str(raw))
    graph = model.graph
    _require_names("inputs", signature.inputs, graph.input)
    _require_names("outputs", signature.outputs, graph.output)
    _strip_prefix(graph)
    _strip_traces(model)
    _redeclare(graph, signature)
    drop_unused_opsets(model)
    return save(_inferred(model), out, signature, provenance)


def _require_names(
    kind: str, specs: tuple[TensorSpec, ...], values: Iterable[ValueInfoProto]
) -> None:
    expected, found = [s.name for s in specs], [v.name for v in values]
    if expected != found:
        raise ExportRefused(
            f"the exported graph has the {kind} {', '.join(found)}",
            f"the signature has {', '.join(expected)}",
        )


def _redeclare(graph: GraphProto, signature: Signature) -> None:
    """Declare inputs and outputs as the signature does, and forget all shapes in between.

    Recurrent models keep the traced length in value_info and in the declared outputs, which makes
    onnxsim write a graph that fails (shared knowledge: torch 2.13, onnxsim 0.8.1).
    """
    del graph.value_info[:]
    specs = (*signature.inputs, *signature.outputs)
    for value, spec in zip((*graph.input, *graph.output), specs, strict=True):
        value.type.CopyFrom(
            onnx.helper.make_tensor_type_proto(DTYPES[spec.dtype].onnx, list(spec.shape))
        )


def _inferred(model: ModelProto) -> ModelProto:
    """The model with shapes in between, where the inference can follow it (not above 2 GB)."""
    if model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF:
        return model
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return model


def _strip_prefix(graph: GraphProto) -> None:
    names: dict[str, str] = {}
    taken = {name for g in graphs(graph) for name in _defined(g)}
    for tensor in graph.initializer:
        short = tensor.name.removeprefix(_PREFIX)
        if short != tensor.name and short not in taken:
            names[tensor.name] = tensor.name = short
    _rename_uses(graph, names)


def _defined(graph: GraphProto) -> Iterator[str]:
    """The names of all values that a graph itself defines."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from node.output


def _rename_uses(graph: GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in names:
                node.input[index] = names[name]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename_uses(inner, names)


def _strip_traces(model: ModelProto) -> None:
    """Remove stack traces (they hold the author's folders); module paths stay, for localization."""
    holders = [*graphs(model.graph), *model.functions]
    values = [v for g in graphs(model.graph) for v in (*g.input, *g.output, *g.initializer)]
    nodes = [node for holder in holders for node in holder.node]
    for owner in (model, *holders, *values, *nodes):
        kept = [p for p in owner.metadata_props if p.key not in _LEAKS]
        del owner.metadata_props[:]
        owner.metadata_props.extend(kept)
    for node in nodes:
        node.doc_string = ""  # TorchScript puts the stack trace here
        for entry in node.metadata_props:
            entry.value = re.sub(r"(?<![\w.])model\.(?=\w)", "", entry.value)


def graphs(graph: GraphProto) -> list[GraphProto]:
    found = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += graphs(attribute.g)
            for inner in attribute.graphs:
                found += graphs(inner)
    return found


def drop_unused_opsets(model: ModelProto) -> None:
    """Keep the opset imports that a node uses: strict loaders refuse domains they do not know."""
    used = {node.domain for g in graphs(model.graph) for node in g.node}
    used |= {node.domain for f in model.functions for node in f.node}
    used |= {"", *(f.domain for f in model.functions)}
    kept = [o for o in model.opset_import if o.domain in used or (o.domain == "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(kept)
