"""`squeeze` of an axis whose size is not known."""

from pathlib import Path

import torch
from torch import Tensor, nn

import toolkit
from tests.exporters.holding import holds


class Joined(nn.Module):
    """Of either sequence one axis is 1 where the other's is dynamic."""

    def forward(self, audio: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        joined = audio[:, :, None, :] + text[:, None, :, :]
        return joined.squeeze(2), torch.squeeze(text[:, None, :, None], (1, 2, 3))


def test_an_axis_of_a_dynamic_size_stays(tmp_path: Path) -> None:
    signature = """
        audio: float32[batch, frames, 3]
        text: float32[batch, tokens, 3]
        where batch = 2..4, frames = 2..9, tokens = 2..9
    """
    exported = toolkit.export(
        (Joined(), signature), tmp_path / "m.onnx", exporters=("onnxport",), budget=1.0
    )
    assert exported.report.holds, exported.report.reason


class NothingToSqueeze(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(()) + x.mean().squeeze(0) + x.sum().squeeze()


def test_no_axes_and_a_number(tmp_path: Path) -> None:
    signature = "x: float32[b, 3] in -2..2; where b = 1..4"
    assert holds(NothingToSqueeze, signature, tmp_path / "m.onnx")
