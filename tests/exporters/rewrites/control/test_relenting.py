"""Packages that are written to be exported are left as they are, but where that stops torch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.control import functions


class Padded(nn.Module):
    """As MobileViT: where the length is no multiple of 4 it is made one, and back at the end."""

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        whole = -(-length // 4) * 4
        if whole != length:
            x = nn.functional.pad(x, (0, 0, 0, whole - length), value=1.0)
        return x.cumsum(1).sum(2)


class Checked(nn.Module):
    """As XLM: a value that is no longer than the sequence."""

    def forward(self, x: Tensor) -> Tensor:
        longest = (x[:, :, 0] > 0).sum(1).max().item()
        assert longest <= x.shape[1]
        return x * 2


class Chosen(nn.Module):
    """As Longformer: a value decides, in a function below the one that reads it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.scaled(x, (x[:, 0] > 0.5).any().item())

    def scaled(self, x: Tensor, above: bool) -> Tensor:
        if above:
            return x * 2
        return x - 1


@pytest.fixture(autouse=True)
def exportable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_is_exportable", lambda code: code.co_filename == __file__)


@pytest.mark.parametrize("module", [Padded(), Checked(), Chosen()], ids=lambda m: type(m).__name__)
def test_the_function_that_stops_torch_is_rewritten(module: nn.Module, tmp_path: Path) -> None:
    signature = "x: float32[batch, length, 3]; where batch = 1..4, length = 1..13"
    exported = toolkit.export(
        (module, signature), tmp_path / "m.onnx", exporters=("onnxport",), budget=1.0
    )
    assert exported.report.holds, exported.report.reason


def test_what_does_not_stop_torch_is_left_alone() -> None:
    own = Padded.forward.__code__
    with functions.rewritten(Padded()):
        assert Padded.forward.__code__ is own
        assert functions.relent([own])
        assert Padded.forward.__code__ is not own
        assert not functions.relent([own])
    assert Padded.forward.__code__ is own


def test_a_function_of_no_such_package_is_not_asked_for() -> None:
    with functions.rewritten(Padded()):
        assert not functions.relent([torch.nn.Linear.forward.__code__])
