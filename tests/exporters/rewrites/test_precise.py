"""Sigmoid where it is small: ONNX Runtime's own is right to 6e-8 only, whatever its size."""

from pathlib import Path

import pytest
from torch import nn

import toolkit


@pytest.mark.parametrize(
    "module", [nn.Sigmoid(), nn.SiLU(), nn.GLU()], ids=lambda m: type(m).__name__
)
def test_it_holds_far_below_zero_where_the_first_file_differs(
    module: nn.Module, tmp_path: Path
) -> None:
    signature = "x: float32[n, 4] in -16..-12; where n = 1..8"
    exported = toolkit.export(
        (module, signature),
        tmp_path / "m.onnx",
        exporters=["onnxport", "onnxport-precise"],
        budget=2.0,
    )
    assert [(a.exporter, a.outcome) for a in exported.attempts] == [
        ("onnxport", "differs"),
        ("onnxport-precise", "holds"),
    ]
