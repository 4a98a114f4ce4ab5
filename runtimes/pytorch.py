"""The eager module itself: as it is, and in float64 as the reference of the parity check."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from toolkit.artifact import OnnxArtifact
from toolkit.errors import InputError
from toolkit.model import Flat, LoadedModel, refusal, to_array, to_tensor
from toolkit.plugins import Availability


class PyTorch:
    """Eager PyTorch, in the module's own precision."""

    name = "pytorch"
    precision: torch.dtype | None = None

    def availability(self) -> Availability:
        if torch.cuda.is_available():
            return Availability(("cuda", "cpu"), {})
        built = torch.version.cuda is not None
        if built:
            problem = ("no GPU answers to torch", "does nvidia-smi list one? else use --device cpu")
        else:
            problem = ("this torch is a build without CUDA", "see pytorch.org/get-started for one")
        return Availability(("cpu",), {"cuda": problem})

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> PyTorchSession:
        if isinstance(subject, OnnxArtifact):
            raise InputError(f"PyTorch does not run '{subject.path.name}'", "name its source")
        device = self.availability().require(device)
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if device != "cpu" or self.precision:
            module = copy.deepcopy(subject.module).to(device, self.precision)
            subject = replace(subject, module=module)
        return PyTorchSession(subject, device, self.precision)


class PyTorchFloat64(PyTorch):
    """A copy of the module with its parameters, buffers and floating inputs in float64."""

    name = "pytorch-float64"
    precision = torch.float64


class PyTorchSession:
    """Runs the module without gradients; arrays in and out, under the names of the signature."""

    def __init__(self, model: LoadedModel, device: str, precision: torch.dtype | None) -> None:
        self.signature = model.signature
        self.device = device
        self._flat, self._precision = Flat(model.module, model.signature), precision

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the module raises: its signature promises what it cannot do."""
        tensors = [to_tensor(feeds[s.name], s.dtype).to(self.device) for s in self.signature.inputs]
        if self._precision:
            tensors = [t.to(self._precision) if t.is_floating_point() else t for t in tensors]
        try:
            # Not inference_mode: a module that caches a tensor in forward could not be exported.
            with torch.no_grad():
                outputs = self._flat(*tensors)
        except Exception as error:
            raise refusal(error, feeds) from error
        named = zip(self.signature.outputs, outputs, strict=True)
        # Copies: a module may write to a buffer that it returned.
        return {spec.name: np.array(to_array(tensor)) for spec, tensor in named}
