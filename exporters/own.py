"""The exporters of this project: torch.export and torch's ONNX exporter, with all our rewrites."""

from __future__ import annotations

from pathlib import Path

from exporters.dynamo import write
from exporters.rewrites import families, precise
from exporters.wide import widen
from toolkit.model import LoadedModel
from toolkit.plugins import Traced


class Own:
    name = "onnxport"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset, families=tuple(families()))


class Precise:
    """With functions that ONNX Runtime rounds coarsely written out: slower, and more exact."""

    name = "onnxport-precise"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset, families=(*families(), precise.FAMILY))


class Wide:
    """What is in bfloat16 computed in float32: slower on a GPU, but a CPU can run it at all."""

    name = "onnxport-wide"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset, families=tuple(families()), passes=(widen,))
