"""ONNX Runtime, on the CPU and CUDA execution providers.

The device that was asked for is the device that runs: where CUDA does not work the error says which
library is missing, and nothing falls back in silence.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from runtimes import cuda
from runtimes.newest import newest
from runtimes.opening import opened, reason
from toolkit.artifact import OnnxArtifact
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError
from toolkit.memory import give_back
from toolkit.plugins import Availability
from toolkit.quiet import printing_to

if TYPE_CHECKING:
    from toolkit.model import LoadedModel

LARGE = 256 << 20
"""Bytes of a file above which memory goes back after each run: activations as large as weights."""

_LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "layout": ort.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_MODIFIED = re.compile(r"GraphTransformer (\w+) modified: 1")
_RULES = {
    "Level1_RuleBasedTransformer": (
        *("EliminateIdentity", "EliminateSlice", "UnsqueezeElimination", "EliminateDropout"),
        *("ExpandElimination", "CastElimination", "PreShapeNodeElimination", "NoopElimination"),
        *("DivMulFusion", "FuseReluClip", "GemmSumFusion", "GemmTransposeFusion"),
        *("NotWhereFusion", "ConvAddFusion", "ConvMulFusion", "ConvBNFusion", "Pad_Fusion"),
        *("MatMul_BatchNormalization_Fusion", "LabelEncoderFusion"),
    ),
    "Level2_RuleBasedTransformer": ("ClipQuantRewrite", "ReluQuantRewrite", "GemmTransposeFusion"),
}
"""The log names these rules together; they are switched off one by one. From GenerateRewriteRules
in onnxruntime/core/optimizer/graph_transformer_utils.cc; the library has no list of them."""


class OnnxRuntime:
    """With all graph optimizations, as in production."""

    name = "onnxruntime"
    level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    levels = tuple(_LEVELS)

    def availability(self) -> Availability:
        problem = cuda.problem()
        if problem is None:
            return Availability(("cuda", "cpu"), {})
        return Availability(("cpu",), {"cuda": problem})

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> OnnxRuntimeSession:
        if not isinstance(subject, OnnxArtifact):
            raise InputError(f"'{subject.origin}' is not an ONNX file", "export it first")
        device = "cpu" if device == "cpu" else self.availability().require(device)
        return OnnxRuntimeSession(subject, device, opened(subject.path, device, self.level))

    def optimizers(self, subject: OnnxArtifact, device: str) -> tuple[str, ...]:
        """By ONNX Runtime's own log, which says of each whether it modified the graph.

        Not for use from several threads: the log goes to the process's stderr.
        """
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            log.touch()
            with printing_to(log):
                ort.set_default_logger_severity(1)
                try:
                    opened(subject.path, device, self.level, severity=1)
                finally:
                    ort.set_default_logger_severity(2)
            found = dict.fromkeys(_MODIFIED.findall(log.read_text(errors="replace")))
        return tuple(rule for name in found for rule in _RULES.get(name, (name,)))

    def load_at(
        self, subject: OnnxArtifact, device: str, level: str, without: Collection[str] = ()
    ) -> OnnxRuntimeSession:
        """See `toolkit.plugins.Optimizing`."""
        session = opened(subject.path, device, _LEVELS[level], without=without)
        return OnnxRuntimeSession(subject, device, session)

    def newest(self) -> tuple[int, int]:
        """The newest opset and IR version of which it loads a file: tried, once a process."""
        return newest()


class Unoptimized(OnnxRuntime):
    """The graph as it is written: what a check compares the optimized one with."""

    name = "onnxruntime-unoptimized"
    level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL


class OnnxRuntimeSession:
    """A loaded ONNX file; inputs and outputs by name."""

    def __init__(self, artifact: OnnxArtifact, device: str, session: ort.InferenceSession) -> None:
        self.signature = artifact.signature
        self.device = device
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self._session = session
        self._outputs = [o.name for o in session.get_outputs()]
        declared = (*artifact.inputs, *artifact.outputs)
        self._bfloat16 = any(d.dtype == "bfloat16" for d in declared)
        self._gathers: dict[tuple[int, ...], ort.InferenceSession] = {}
        self._options = ort.RunOptions()
        self._large = device == "cpu" and artifact.size > LARGE
        if self._large:
            self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            give_back()  # what loading took

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError with ONNX Runtime's own reason where it refuses the feed."""
        try:
            if self._bfloat16:
                values = self._session.run_with_ort_values(None, _ort_values(feeds), self._options)
                arrays = [_numpy(value) for value in values]
            else:
                arrays = self._session.run(self._outputs, dict(feeds), self._options)
        except Exception as error:
            raise InputError(f"ONNX Runtime: {reason(error)}", _shapes(feeds)) from error
        if self._large:
            give_back()
        return dict(zip(self._outputs, arrays, strict=True))

    def step(
        self,
        feeds: Mapping[str, np.ndarray],
        state: Mapping[str, ort.OrtValue],
        keep: Collection[str],
    ) -> tuple[dict[str, np.ndarray], dict[str, ort.OrtValue]]:
        """See `toolkit.plugins.Stateful`; what is held are OrtValues in the device's memory."""
        binding = self._session.io_binding()
        try:
            for name, array in feeds.items():
                # By way of an OrtValue: bind_cpu_input refuses arrays without elements.
                value = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
                binding.bind_ortvalue_input(name, value)
            for name, value in state.items():
                binding.bind_ortvalue_input(name, value)
            for name in self._outputs:
                binding.bind_output(name, self.device if name in keep else "cpu")
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise InputError(f"ONNX Runtime: {reason(error)}", _shapes(feeds)) from error
        values = dict(zip(self._outputs, binding.get_outputs(), strict=True))
        arrays = {name: value.numpy() for name, value in values.items() if name not in keep}
        return arrays, {name: value for name, value in values.items() if name in keep}

    def select(
        self, state: Mapping[str, ort.OrtValue], rows: np.ndarray
    ) -> dict[str, ort.OrtValue]:
        """By a graph of Gather nodes on the same device: nothing goes through the host."""
        if not state:
            return {}
        types = tuple(value.element_type() for value in state.values())
        if types not in self._gathers:
            level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            self._gathers[types] = opened(_gather(types), self.device, level)
        binding = self._gathers[types].io_binding()
        binding.bind_ortvalue_input("rows", ort.OrtValue.ortvalue_from_numpy(rows))
        for number, value in enumerate(state.values()):
            binding.bind_ortvalue_input(f"x{number}", value)
            binding.bind_output(f"y{number}", self.device)
        self._gathers[types].run_with_iobinding(binding)
        return dict(zip(state, binding.get_outputs(), strict=True))


def _gather(types: tuple[int, ...]) -> bytes:
    """A graph that takes the same rows of every value; `types` are TensorProto.DataType codes."""
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("rows", TensorProto.INT64, [None])]
    inputs += [helper.make_tensor_value_info(f"x{n}", t, None) for n, t in enumerate(types)]
    outputs = [helper.make_tensor_value_info(f"y{n}", t, None) for n, t in enumerate(types)]
    nodes = [
        helper.make_node("Gather", [f"x{n}", "rows"], [f"y{n}"], axis=0) for n in range(len(types))
    ]
    graph = helper.make_graph(nodes, "select", inputs, outputs)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(model.SerializeToString())


def _ort_values(feeds: Mapping[str, np.ndarray]) -> dict[str, ort.OrtValue]:
    """bfloat16 has no numpy type of its own: it is handed over by its bits."""
    values = {}
    for name, array in feeds.items():
        if array.dtype == numpy_dtype("bfloat16"):
            bits, code = array.view(np.uint16), DTYPES["bfloat16"].onnx
            values[name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, code)
        else:
            values[name] = ort.OrtValue.ortvalue_from_numpy(array)
    return values


def _numpy(value: ort.OrtValue) -> np.ndarray:
    if value.data_type() != "tensor(bfloat16)":
        return np.asarray(value.numpy())
    import torch.utils.dlpack

    tensor = torch.utils.dlpack.from_dlpack(value._ortvalue.to_dlpack())
    return tensor.view(torch.int16).numpy().view(numpy_dtype("bfloat16"))


def _shapes(feeds: Mapping[str, np.ndarray]) -> str:
    return "fed with " + ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in feeds.items())
