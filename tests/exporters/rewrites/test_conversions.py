"""A module that converts a part of itself to the dtype that it has already."""

from pathlib import Path

import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.conversions import FAMILY


class Router(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.classifier = self.classifier.to(x.dtype)
        found: Tensor = self.classifier(x)
        return found


def test_it_exports(tmp_path: Path) -> None:
    made = (Router(), "x: float32[n, 4]; where n = 1..9")
    found = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds, found.report.reason


def test_what_changes_is_converted_all_the_same() -> None:
    with FAMILY.tracing(nn.Identity()):
        assert nn.Linear(2, 2).to(torch.float64).weight.dtype == torch.float64
        assert nn.Linear(2, 2).to(dtype=torch.float16).weight.dtype == torch.float16
