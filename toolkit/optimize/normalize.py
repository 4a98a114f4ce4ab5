"""What every exporter leaves to mend: names, frozen shapes, traces of the author's machine.

A repaired file has the inputs, outputs and dimension names of the signature, readable names in
between, shapes that were inferred from the graph and not left over from the trace, and no path of
the author's. All of that is done on the graph alone: weights in a file beside it are not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from toolkit.artifact import OnnxArtifact, Provenance, save
from toolkit.dtypes import DTYPES
from toolkit.errors import ExportRefused
from toolkit.optimize import naming, traces
from toolkit.optimize.pruning import inlined, prune
from toolkit.proto import graphs
from toolkit.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def normalize(
    raw: Path,
    out: Path,
    signature: Signature,
    provenance: Provenance,
    *,
    keep_trace: bool = False,
    newest: tuple[int, int] | None = None,
) -> OnnxArtifact:
    """Repair what an exporter wrote at `raw` and save it at `out` with signature and provenance.

    Weights that `raw` has in files beside it are moved from there. `keep_trace` keeps the stack
    traces of nodes, without folders. `newest`: the opset and IR version that the file may have at
    most. Raises ExportRefused where the graph's inputs or outputs are not those of the signature,
    or its opset is newer.
    """
    model = onnx.load(str(raw), load_external_data=False)
    _require_names("inputs", signature.inputs, model.graph.input)
    _require_names("outputs", signature.outputs, model.graph.output)
    model = inlined(model)
    prune(model)
    if newest:
        _require_opset(model, newest[0])
        model.ir_version = min(model.ir_version, newest[1])
    naming.rename(model)
    traces.strip(model, keep_trace=keep_trace)
    _redeclare(model, signature)
    return save(_inferred(model), out, signature, provenance, weights=raw.parent)


def _require_names(
    kind: str, specs: tuple[TensorSpec, ...], values: Iterable[ValueInfoProto]
) -> None:
    expected, found = [s.name for s in specs], [v.name for v in values]
    if expected != found:
        raise ExportRefused(
            f"the exported graph has the {kind} {', '.join(found)}",
            f"the signature has {', '.join(expected)}",
        )


def _require_opset(model: ModelProto, newest: int) -> None:
    for imported in model.opset_import:
        if imported.domain in ("", "ai.onnx") and imported.version > newest:
            raise ExportRefused(
                f"the file has opset {imported.version}, the target loads {newest} at most",
                "an operator of the model has no older form that torch can write",
            )


def _redeclare(model: ModelProto, signature: Signature) -> None:
    """Declare inputs and outputs as the signature does, and forget all shapes in between.

    Recurrent models keep the traced length in value_info and in the declared outputs, which makes
    onnxsim write a graph that fails (shared knowledge: torch 2.13, onnxsim 0.8.1).
    """
    for graph in graphs(model.graph):
        del graph.value_info[:]
    specs = (*signature.inputs, *signature.outputs)
    values = (*model.graph.input, *model.graph.output)
    for value, spec in zip(values, specs, strict=True):
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
