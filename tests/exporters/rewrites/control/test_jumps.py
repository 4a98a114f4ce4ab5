"""Loops that values leave early, or whose steps they cut short."""

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.corpora.bends_wild import ROWS, LeavesOutLayers, Settles
from exporters.rewrites.control import jumps
from tests.exporters.holding import holds


class Speaks(nn.Module):
    """Words one after the other, until all rows have come to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.embed, self.head = nn.GRUCell(4, 6), nn.Embedding(5, 4), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, word = torch.zeros(len(x), 6), x.sum((1, 2)).long() % 5
        ended, length = torch.zeros(len(x), dtype=torch.bool), torch.zeros(len(x)).long()
        for _ in range(1, 20):
            state = self.cell(self.embed(word), state)
            word = self.head(state).argmax(-1)
            ended = ended | (word == 2)
            length = length + (~ended).long()
            if ended.all():
                break
        return state, length


class Skips(nn.Module):
    """Rows that count and rows that do not; and the last ones, after which it is over."""

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(4)
        for number in range(x.shape[1]):
            row = x[:, number].sum(0)
            if row.sum() < 0:
                if row.max() > 2:
                    break
                continue
            total = total + row * number
        return total


class Shrinks(nn.Module):
    """For ever, but for the way out."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = 0
        while True:
            x = x * 0.7
            steps += 1
            if x.abs().max() < 0.1:
                break
        return x, torch.tensor(steps)


class FindsARow(nn.Module):
    """Over rows and their numbers, which are read behind the loop; and over tensors in a list."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        before, number, row = torch.zeros(4), 0, x[0, 0]
        for number, row in enumerate(x[0]):
            if row.sum() > 0:
                break
            before = before + row * number
        seen = []
        for row_again in x[0]:
            seen.append(row_again * 2)
            if row_again.sum() > 0:
                break
        total = torch.zeros(4)
        for part in (x[0].sum(0), x[0].amax(0), x[0].amin(0)):
            if part.sum() > 3:
                break
            total = total + part
        return before, row, torch.tensor(number), torch.stack(seen), total


@pytest.mark.parametrize("module", [Settles, Speaks, LeavesOutLayers, Skips, Shrinks, FindsARow])
def test_it_stops_where_python_does(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, ROWS, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "loop",
    [
        "for item in items:\n    if test:\n        break\nelse:\n    pass",
        "for item in items:\n    with lock:\n        if test:\n            break",
        "for item in items:\n    if one:\n        if two:\n            break\n    rest()",
        "for item in items:\n    for inner in item:\n        work()",
    ],
)
def test_what_it_leaves_alone(loop: str) -> None:
    text = "def f():\n" + "\n".join(f"    {line}" for line in loop.splitlines())
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    jumps.removed(function)
    assert ast.unparse(function) == text
