"""int() of a size, in models of transformers."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

import toolkit
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from exporters.rewrites.integers import _Int, _of_nodes
from tests.exporters.holding import holds


def test_a_padding_worked_out_by_int_follows_the_image(tmp_path: Path) -> None:
    config = transformers.MobileNetV1Config(depth_multiplier=0.1, min_depth=4)
    torch.manual_seed(0)  # of 90 seeds two make a model that no float32 computes well
    model = transformers.MobileNetV1Model(config)
    with torch.no_grad():  # as drawn they are so small that nothing comes through
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    built = wrapped(model, Ranges(batch=2, image=96))
    assert {"height", "width"} <= {d.name for d in built.signature.dims}
    exported = toolkit.export(
        (built.module, built.signature),
        tmp_path / "m.onnx",
        exporters=("onnxport",),
        budget=2.0,
    )
    assert exported.report.holds, exported.report.reason


class Quarters(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean() + x.new_zeros(-(-x.shape[0] // 4))


def test_a_size_is_divided_and_rounded_up(tmp_path: Path) -> None:
    exported = toolkit.export(
        (Quarters(), "x: float32[n]; where n = 9..33"),
        tmp_path / "m.onnx",
        exporters=("onnxport",),
        budget=2.0,
    )
    assert exported.report.holds, exported.report.reason


def test_for_all_else_it_is_pythons() -> None:
    assert [_Int("7"), _Int(2.9), _Int("ff", 16), _Int()] == [7, 2, 255, 0]
    assert isinstance(3, _Int)
    assert not isinstance("3", _Int)


def test_the_least_of_two_nodes_is_a_node() -> None:
    traced = torch.fx.Tracer()
    traced.graph = torch.fx.Graph()
    a, b = traced.create_proxy("placeholder", "a", (), {}), 3
    assert _of_nodes(torch.sym_min)(a, b).node.target is torch.sym_min
    assert _of_nodes(torch.sym_min)(5, b) == 3


class Lengthened(nn.Module):
    """As FastSpeech 2: each token as many frames as it lasts, whose number torch asks of a vector
    as how many numbers it has."""

    def forward(self, x: Tensor, lasts: Tensor) -> Tensor:
        most: Any = lasts.sum(1).max()
        frames = torch.zeros(x.size(0), most, x.size(2))
        for n, (row, last) in enumerate(zip(x, lasts, strict=True)):
            repeated = torch.repeat_interleave(row, last, dim=0)
            frames[n, : repeated.size(0)] = repeated
        return frames


def test_the_numbers_of_a_vector_are_counted(tmp_path: Path) -> None:
    signature = "x: float32[b, t, 2]; lasts: int64[b, t] in 1..3; where b = 1..3, t = 1..5"
    assert holds(Lengthened, signature, tmp_path / "m.onnx")
