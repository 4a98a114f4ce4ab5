"""onnx's own evaluator, in numpy: slow, independent of every runtime, and in float64 where asked.

In float64 it tells a wrong file from a runtime that rounds: what the graph says, without the
rounding of the kernels that run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from toolkit.artifact import OnnxArtifact, read_model
from toolkit.errors import InputError, NotLoadable
from toolkit.plugins import Availability
from toolkit.proto import graphs

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


class Reference:
    """The graph in its own precision."""

    name = "reference"
    float64 = False

    def availability(self) -> Availability:
        return Availability(("cpu",), {})

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> ReferenceSession:
        if not isinstance(subject, OnnxArtifact):
            raise InputError(f"'{subject.origin}' is not an ONNX file", "export it first")
        self.availability().require(device)
        model = read_model(subject)
        _require_whole_sequences(model)
        try:
            evaluator = ReferenceEvaluator(widened(model) if self.float64 else model)
        except Exception as error:
            raise NotLoadable(f"onnx.reference: {type(error).__name__}: {error}") from error
        return ReferenceSession(subject, evaluator, float64=self.float64)


def _require_whole_sequences(model: onnx.ModelProto) -> None:
    """onnx 1.23 evaluates RNN, LSTM and GRU as if each row had the full length, silently."""
    for graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type in ("RNN", "LSTM", "GRU") and len(node.input) > 4 and node.input[4]:
                raise NotLoadable(
                    f"onnx.reference ignores the sequence_lens of {node.op_type}",
                    "run it with onnxruntime",
                )


class ReferenceFloat64(Reference):
    """The graph with every float32 and float16 in it made float64."""

    name = "reference-float64"
    float64 = True


class ReferenceSession:
    """Runs on the calling thread; an operator that is missing there is an InputError."""

    device = "cpu"

    def __init__(
        self, artifact: OnnxArtifact, evaluator: ReferenceEvaluator, *, float64: bool
    ) -> None:
        self.signature = artifact.signature
        self._evaluator, self._float64 = evaluator, float64

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        floats = {s.name for s in self.signature.inputs if s.is_float and self._float64}
        wide = {n: a.astype(np.float64) if n in floats else a for n, a in feeds.items()}
        try:
            with np.errstate(all="ignore"):
                arrays = self._evaluator.run(None, wide)
        except Exception as error:
            raise InputError(f"onnx.reference: {type(error).__name__}: {error}") from error
        names = self._evaluator.output_names
        return {n: np.asarray(a) for n, a in zip(names, arrays, strict=True)}


_NARROW = (TensorProto.FLOAT, TensorProto.FLOAT16)
_TYPES = ("to", "dtype")
"""Attributes that hold an element type."""


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in which floats are float64: weights, constants, casts, declarations."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for graph in graphs(wide.graph):
        del graph.value_info[:]
        for tensor in graph.initializer:
            _widen(tensor)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in _NARROW:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
    holders = [*graphs(wide.graph), *wide.functions]
    for node in (n for holder in holders for n in holder.node):
        if node.op_type == "ConstantOfShape" and not node.attribute:  # a float32 zero
            zero = numpy_helper.from_array(np.zeros(1))
            node.attribute.append(onnx.helper.make_attribute("value", zero))
        for attribute in node.attribute:
            if attribute.name in _TYPES and attribute.i in _NARROW:
                attribute.i = TensorProto.DOUBLE
            for tensor in ([attribute.t] if attribute.HasField("t") else []) + [*attribute.tensors]:
                _widen(tensor)
            if node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                values = attribute.f if attribute.name == "value_float" else attribute.floats
                array = np.array(values, np.float64)
                node.attribute.remove(attribute)
                node.attribute.append(
                    onnx.helper.make_attribute("value", numpy_helper.from_array(array))
                )
                break
    return wide


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
