"""The older exporter of torch: it records the operators of one run (torch.jit.trace).

Deprecated upstream, and it takes every branch as the example took it; but it writes native
recurrent nodes and covers operators that dynamo refuses. What it bakes in, the parity check finds.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from exporters.example import axes, example
from exporters.refusal import refused
from toolkit.model import LoadedModel

_NEWEST_OPSET = 20  # torch.onnx._constants.ONNX_TORCHSCRIPT_EXPORTER_MAX_OPSET in torch 2.13


class TorchScript:
    name = "torchscript"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> None:
        write(model, model.flat(), path, opset=opset)


def write(model: LoadedModel, flat: nn.Module, path: Path, *, opset: int) -> None:
    """Record a run of `flat`, which is the model with tensors in and out. Scripted parts of it
    keep their branches and loops. Raises ExportRefused with the reason."""
    specs = (*model.signature.inputs, *model.signature.outputs)
    try:
        with torch.no_grad():
            torch.onnx.export(
                flat,
                example(model.signature, model.examples),
                str(path),
                dynamo=False,
                input_names=[s.name for s in model.signature.inputs],
                output_names=[s.name for s in model.signature.outputs],
                dynamic_axes={s.name: axes(s.shape) for s in specs if axes(s.shape)},
                opset_version=min(opset, _NEWEST_OPSET),
            )
    except Exception as error:
        raise refused(error, model.module) from error
