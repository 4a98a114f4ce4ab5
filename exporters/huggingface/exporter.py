"""The exporter inside transformers (`transformers.exporters`), as one more candidate.

It mends some hundred of the library's classes while it traces them, and translates operators of its
own; it checks nothing. Here it is given the whole signature, and what it writes is checked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from exporters.example import axes, example
from toolkit.errors import ExportRefused, NotApplicable
from toolkit.model import Flat, LoadedModel, first_line
from toolkit.plugins import Traced


class Transformers:
    """For modules that hold a `PreTrainedModel`; NotApplicable for all others."""

    name = "transformers"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        if not holds_pretrained(model.module):
            raise NotApplicable("it is for models of transformers", "another exporter takes it")
        from transformers.exporters.configs import OnnxConfig
        from transformers.exporters.exporter_onnx import OnnxExporter

        inputs, outputs = model.signature.inputs, model.signature.outputs
        tensors = example(model.signature)
        names = [f"x{n}" for n in range(len(tensors))]  # identifiers, which ours need not be
        shapes = {
            name: dict.fromkeys(axes(spec.shape), Dim.AUTO)
            for name, spec in zip(names, inputs, strict=True)
        }
        config = OnnxConfig(dynamic=True, dynamic_shapes=shapes, opset_version=opset)
        try:
            exporter: Any = OnnxExporter()
            given = dict(zip(names, tensors, strict=True))
            program, _ = exporter.export_program(_Named(model).eval(), given, config)
            _rename(program.graph.inputs, [s.name for s in inputs])
            _rename(program.graph.outputs, [s.name for s in outputs])
            OnnxExporter.save_program(program, path)
        except Exception as error:
            raise ExportRefused(f"{type(error).__name__}: {first_line(error)}") from error
        return Traced()


def holds_pretrained(module: nn.Module) -> bool:
    """Is it, or does it hold, a model of transformers? Nothing is imported to find out."""
    modeling: Any = sys.modules.get("transformers.modeling_utils")
    return modeling is not None and any(
        isinstance(m, modeling.PreTrainedModel) for m in module.modules()
    )


class _Named(nn.Module):
    """The model with keyword arguments x0, x1, ... in and x0_out, x1_out, ... out."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.flat = Flat(model.module, model.signature)

    def forward(self, **tensors: Tensor) -> dict[str, torch.Tensor]:
        found = self.flat(*tensors.values())
        return {f"x{n}_out": tensor for n, tensor in enumerate(found)}


def _rename(values: Any, names: list[str]) -> None:
    if len(values) != len(names):
        raise ValueError(f"its file has {len(values)} values where {len(names)} are declared")
    for value, name in zip(values, names, strict=True):
        value.name = name
