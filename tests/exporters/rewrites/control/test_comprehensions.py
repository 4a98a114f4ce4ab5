"""Sequences of unknown length as people write them: comprehensions, zip, unbind, split, lists."""

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporters.rewrites.control import comprehensions
from tests.exporters.rewrites.control.proving import Proof, normal

STEPS = "x: float32[batch, time, 4]; where batch = 1..3, time = 1..7"


class Comprehended(nn.Module):
    """A layer at every step, pairs of steps, and rows, each made into one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.parts = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        every = torch.stack([self.layer(x[:, t]) for t in range(x.shape[1])], 1)
        pairs = torch.stack(
            [
                torch.stack([x[:, i] * x[:, j] for j in range(x.shape[1])], 1)
                for i in range(x.shape[1])
            ],
            1,
        )
        rows = torch.cat([row.flip(0).unsqueeze(0) for row in x])
        known = [part(x) for part in self.parts if part is not self.layer]
        return every, pairs, rows, sum(known)


class Generated(nn.Module):
    """Sums and tuples of generators, and numbers of Python as a tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        total = sum(x[:, t] * t for t in range(x.shape[1]))
        turned = torch.cat(tuple(x[:, t : t + 1] for t in reversed(range(x.shape[1]))), 1)
        left = torch.tensor(list(range(x.shape[1]))[::-1])
        halves = torch.tensor([t / 2 for t in range(x.shape[1])])
        return total, turned, x * halves[:, None] + left[:, None]


class Repeated(nn.Module):
    """One tensor as often as there are steps; what is made for it is made once."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        row = x[:, 0]
        ways = [2] * (x.dim() - 1)
        return torch.stack([row] * x.shape[1], 1), torch.cat([x.sum(1)] * x.size(0)) * len(ways)


class Listed(nn.Module):
    """Lists of positions: made into tensors, indexed, cut, counted."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        places = list(range(x.shape[1]))
        embedded = self.positions(torch.tensor(places))
        embedded = embedded + self.positions(torch.LongTensor(range(x.shape[1])))
        embedded = embedded + self.positions(torch.as_tensor([*range(x.size(1))]))
        ends = places[-1] - places[0] + len(places)
        return x + embedded, x * ends, torch.tensor(places[1::2]), torch.tensor(places[:-1])


class Iterated(nn.Module):
    """Rows and steps of tensors, alone, numbered, side by side, and one at a time."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        numbered = [step * number for number, step in enumerate(x.transpose(0, 1))]
        paired = [a - b for a, b in zip(x.unbind(1), torch.unbind(x * 2, 1))]  # noqa: B905
        state, states = torch.zeros_like(x[:, :1]), []
        for step in x.split(1, dim=1):
            state = torch.tanh(state + step)
            states.append(state)
        return torch.stack(numbered), torch.stack(paired), torch.cat(states, 1)


class Rejoined(nn.Module):
    """Rows and steps that are not iterated over at all."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        steps = x.unbind(1)
        later = sum(steps[1:], steps[0])
        return torch.stack(steps, 2), steps[0] + steps[-1], later, sum(x), torch.cat(list(x))


@pytest.mark.parametrize("kind", [Comprehended, Generated, Listed, Iterated, Rejoined, Repeated])
def test_sequences_of_unknown_length(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    proof = Proof((kind().eval(), STEPS), tmp_path / "m.onnx")
    for batch, time in ((1, 1), (2, 3), (3, 7), (2, 1)):
        proof.holds_for({"x": normal((batch, time, 4))})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "y = f([g(t) for t in s])",
            "_comprehended_2 = []\n"
            "for _comprehended_1_t in s:\n    _comprehended_2.append(g(_comprehended_1_t))\n"
            "y = f(_comprehended_2)",
        ),
        ("y = [0] * n", None),
        ("y = [t for t in s if t]", None),
        ("y = [g(t) for t in s] if c else ()", None),
        ("y = lambda: [g(t) for t in s]", None),
        ("y = [[t for t in u] for t in s]", None),
        ("y = f(g(t) for t in s)", None),
        ("while any([t for t in s]): pass", None),
    ],
)
def test_what_is_surely_evaluated_once_becomes_a_loop(source: str, expected: str | None) -> None:
    function = ast.parse(f"def f():\n    {source}").body[0]
    assert isinstance(function, ast.FunctionDef)
    comprehensions.spread(function)
    found = "\n".join(map(ast.unparse, function.body))
    assert found == (expected or ast.unparse(ast.parse(source)))
