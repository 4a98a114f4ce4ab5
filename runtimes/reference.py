"""onnx's own evaluator, in numpy: slow, independent of every runtime, and in float64 where asked.

In float64 it tells a wrong file from a runtime that rounds: what the graph says, without the
rounding of the kernels that run it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from runtimes.functions import EXACT
from runtimes.streaming import Streaming, is_heavy, small
from toolkit.artifact import OnnxArtifact, read_model, read_outline, read_weights
from toolkit.errors import InputError, NotLoadable
from toolkit.plugins import Availability
from toolkit.proto import all_nodes, graphs, is_flat

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
        outline = read_outline(subject.path)
        _require_whole_sequences(outline)
        evaluator: ReferenceEvaluator | Streaming
        try:
            if self.float64 and is_flat(outline) and is_heavy(outline):
                evaluator = _streaming(subject, outline)
            else:
                model = read_model(subject)
                wide = widened(model) if self.float64 else model
                evaluator = ReferenceEvaluator(wide, new_ops=EXACT if self.float64 else None)
        except InputError:
            raise
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
    """The graph with every float32 in it made float64, and float16 too in a file of float16.

    Where a file of float32 goes through float16 on the way, that rounds: it is what the graph says.
    """

    name = "reference-float64"
    float64 = True

    def walk(
        self, subject: OnnxArtifact, feeds: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]] | None:
        """See `toolkit.plugins.Walking`; None for a graph with graphs within it."""
        outline = read_outline(subject.path)
        _require_whole_sequences(outline)
        return _walked(subject, outline, feeds) if is_flat(outline) else None


def _streaming(subject: OnnxArtifact, outline: onnx.ModelProto) -> Streaming:
    return Streaming(widened(small(outline), half=_is_half(outline)), read_weights(subject))


def _walked(
    subject: OnnxArtifact, outline: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    with _refusing():
        walk = _streaming(subject, outline).walk(_wide(feeds, subject))
        yield from ((name, np.asarray(value)) for name, value in walk if _is_array(value))


class ReferenceSession:
    """Runs on the calling thread; an operator that is missing there is an InputError."""

    device = "cpu"

    def __init__(
        self,
        artifact: OnnxArtifact,
        evaluator: ReferenceEvaluator | Streaming,
        *,
        float64: bool,
    ) -> None:
        self.signature, self._artifact = artifact.signature, artifact
        self._evaluator, self._float64 = evaluator, float64

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with _refusing():
            fed = _wide(feeds, self._artifact) if self._float64 else dict(feeds)
            arrays = self._evaluator.run(None, fed)
        names = self._evaluator.output_names
        return {n: np.asarray(a) for n, a in zip(names, arrays, strict=True)}


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        raise InputError(f"onnx.reference: {type(error).__name__}: {error}") from error


def _wide(feeds: Mapping[str, np.ndarray], artifact: OnnxArtifact) -> dict[str, np.ndarray]:
    floats = {s.name for s in artifact.signature.inputs if s.is_float}
    return {n: a.astype(np.float64) if n in floats else a for n, a in feeds.items()}


def _is_array(value: object) -> bool:
    """Not a sequence, nor an optional without a value."""
    return isinstance(value, (np.ndarray, np.generic))


_NARROW = (TensorProto.FLOAT, TensorProto.FLOAT16)
_TYPES = ("to", "dtype")
"""Attributes that hold an element type."""


def _is_half(model: onnx.ModelProto) -> bool:
    """Is float16 what it takes or keeps its weights in, and not only a step on the way?"""
    graph = model.graph
    types = {v.type.tensor_type.elem_type for v in graph.input}
    return TensorProto.FLOAT16 in types | {t.data_type for t in graph.initializer}


def widened(model: onnx.ModelProto, *, half: bool | None = None) -> onnx.ModelProto:
    """A copy of the model in which floats are float64: weights, constants, casts, declarations.

    `half`: casts to float16 as well; by default where the model is of float16.
    """
    half = _is_half(model) if half is None else half
    cast = _NARROW if half else (TensorProto.FLOAT,)
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for graph in graphs(wide.graph):
        del graph.value_info[:]
        for tensor in graph.initializer:
            _widen(tensor)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in _NARROW:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in all_nodes(wide):
        if node.op_type == "ConstantOfShape" and not node.attribute:  # a float32 zero
            zero = numpy_helper.from_array(np.zeros(1))
            node.attribute.append(onnx.helper.make_attribute("value", zero))
        for attribute in node.attribute:
            if attribute.name in _TYPES and attribute.i in cast:
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
