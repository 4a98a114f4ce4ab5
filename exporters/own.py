"""The exporter of this project: torch.export and torch's ONNX exporter, with all our rewrites."""

from __future__ import annotations

from pathlib import Path

from exporters.dynamo import write
from exporters.rewrites import families
from toolkit.model import LoadedModel
from toolkit.plugins import Traced


class Own:
    name = "onnxport"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset, families=tuple(families()))
