"""The fingerprint of an export: the same for the same model, another for any that differs."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit import source
from toolkit.fingerprint import fingerprint
from toolkit.model import LoadedModel


class Scaled(nn.Module):
    def __init__(self, scale: float = 2.0, act: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense, self.scale, self.act = nn.Linear(3, 3), scale, act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.dense(x)) * self.scale


def loaded(module: nn.Module, signature: str = "x: float32[n, 3]; where n = 1..8") -> LoadedModel:
    return source.load((module.eval(), signature))


def nudged() -> nn.Module:
    module = Scaled()
    with torch.no_grad():
        module.dense.bias[1] = torch.nextafter(module.dense.bias[1], torch.tensor(9.0))
    return module


def test_the_same_model_has_the_same_one() -> None:
    assert fingerprint(loaded(Scaled())) == fingerprint(loaded(Scaled())) != ""


@pytest.mark.parametrize(
    "other",
    [
        Scaled(2.5),
        Scaled(act=torch.sigmoid),
        Scaled(act=lambda x: x + 1),
        nudged(),
        nn.Sequential(Scaled()),
    ],
    ids=["attribute", "function", "lambda", "one ulp of one weight", "structure"],
)
def test_a_model_that_differs_has_another(other: nn.Module) -> None:
    assert fingerprint(loaded(other)) != fingerprint(loaded(Scaled()))


def test_two_lambdas_differ_by_their_code() -> None:
    plus, minus = Scaled(act=lambda x: x + 1), Scaled(act=lambda x: x - 1)
    assert fingerprint(loaded(plus)) != fingerprint(loaded(minus))


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "x: float32[n, 3]; where n = 1..9"},
        {"options": {"opset": 21}},
        {"digest": "another weights file"},
    ],
    ids=["signature", "options", "weights file"],
)
def test_what_it_is_exported_with_counts(change: dict[str, Any]) -> None:
    model = loaded(Scaled(), *([change["signature"]] if "signature" in change else []))
    if "digest" in change:
        model = replace(model, digest=str(change["digest"]))
    options = change.get("options", {"opset": 20})
    assert fingerprint(model, **options) != fingerprint(loaded(Scaled()), opset=20)


def test_what_cannot_be_hashed_has_none() -> None:
    module = Scaled()
    module.lock = threading.Lock()
    assert fingerprint(loaded(module)) == ""


PROGRAM = """
import sys
from toolkit import source
from toolkit.fingerprint import fingerprint
print(fingerprint(source.load("model.py:build")))
"""

MODEL = """
from torch import nn
import torch
from layer import Layer

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), Layer()), "x: float32[n, 3]; where n = 1..8"
"""

LAYER = """
from torch import nn

class Layer(nn.Module):
    def forward(self, x):
        return x + {number}
"""


def in_another_process(folder: Path) -> str:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_it_is_the_same_in_another_process_and_sees_the_code_that_a_file_imports(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "layer.py").write_text(LAYER.format(number=1))
    first, again = in_another_process(tmp_path), in_another_process(tmp_path)
    (tmp_path / "layer.py").write_text(LAYER.format(number=2))
    assert first == again != in_another_process(tmp_path)
    assert len(first.strip()) == 64
