"""Batch normalization by the batch's own statistics, which torch's exporter gets wrong."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

import toolkit


class Trained(nn.Module):
    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return functional.batch_norm(x, None, None, scale, scale.neg(), training=True)


def test_a_file_normalizes_by_the_batch(tmp_path: Path) -> None:
    model = (Trained(), "x: float32[n, 4, 5] in -3..9\nscale: float32[4] in 0..1\nwhere n = 2..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds
