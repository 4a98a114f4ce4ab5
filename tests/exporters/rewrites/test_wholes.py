"""Whole numbers and truth values: as files, since as decompositions they would run anyway."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.exporters.holding import holds


class Whole(nn.Module):
    def forward(self, n: Tensor, weight: Tensor, place: Tensor) -> dict[str, Tensor]:
        return {
            "rounded": torch.ceil(n) + torch.floor(n) + torch.trunc(n),
            "product": torch.addmm(n, n, weight, beta=2, alpha=3) + torch.addmm(n, n, weight),
            "shuffled": nn.functional.pixel_shuffle(n.reshape(-1, 4, 1, 1), 2),
            "angle": torch.angle(n),
            "taken": n.take(place),
        }


class Truth(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        a, b = x > 0, y > 0.5
        ordered, order = torch.sort(a, stable=True, descending=True)
        return {
            "either": a + b,
            "ordered": ordered,
            "order": order,
            "first": torch.argsort(b.cumsum(1) > 2, stable=True),
            "any": a.max(1).values,
            "all": a.min(1).values,
            "anywhere": a.max(0).values,
        }


CASES = {
    Whole: """n: int64[batch, 4] in -9..9
              weight: int64[4, 4] in -9..9
              place: int64[] in 0..3
              where batch = 1..6""",
    Truth: "x: float32[batch, n]\ny: float32[batch, n]; where batch = 1..5, n = 1..40",
}


@pytest.mark.parametrize("kind", CASES, ids=lambda k: k.__name__)
def test_a_file_holds(kind: type[nn.Module], tmp_path: Path) -> None:
    assert holds(kind, CASES[kind], tmp_path / "m.onnx")
