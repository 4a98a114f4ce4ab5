"""`match` on sizes, and what of it is left to Python."""

import ast
from pathlib import Path

import pytest
from torch import Tensor, nn

from benchmarks.corpora.bends_wild import ROWS
from exporters.rewrites.control import matches
from tests.exporters.holding import holds


class OnAShape(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        match x.shape:
            case (1, _, _):
                return x * 2
            case (_, n, _) if n > 3:
                return x[:, :n] + 1
            case _:
                return x - 1


class OnASize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        match x.shape[1]:
            case 1 | 2:
                y = x * 2
            case 5 as most:
                y = x + most
            case n:
                y = x * n
        return y


class OnAWord(nn.Module):
    kind = "double"

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "double":
                return x * 2 if len(x) > 2 else x
            case _:
                return x


@pytest.mark.parametrize("module", [OnAShape, OnASize, OnAWord])
def test_each_case_at_its_sizes(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, ROWS, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "case", ["(first, *rest)", "{'a': 1}", "Point(x=1)", "'text'", "(1, y) | (y, 1)"]
)
def test_what_it_leaves_alone(case: str) -> None:
    text = f"def f():\n    match subject:\n        case {case}:\n            work()"
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    before = ast.unparse(function)
    matches.spread(function)
    assert ast.unparse(function) == before
