"""Loops over a dynamic length and while a value says so: one Loop of ONNX, as often as Python."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporters.dynamo import write
from exporters.rewrites.control import FAMILY
from tests.exporters.rewrites.control.proving import Proof, normal
from toolkit import source
from toolkit.errors import ExportRefused

STEPS = "x: float32[batch, time, 3]; where batch = 1..4, time = 1..7"


class Cells(nn.Module):
    """States from zeros and from None, and outputs appended."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.lstm = nn.GRUCell(3, 4), nn.LSTMCell(3, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = torch.zeros(x.shape[0], 4)
        outputs = []
        for t in range(x.shape[1]):
            h = self.gru(x[:, t], h)
            outputs.append(h)
        state, total = None, 0
        for t in range(x.size(1)):
            state = self.lstm(x[:, t, :], state)
            total = total + state[1].sum(-1) * t
        return torch.stack(outputs, dim=1), h, state[0], total


class Counts(nn.Module):
    """Loops in loops, a branch in a loop, numbers of Python from step to step."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        pairs, odd = torch.zeros(x.shape[0]), 0
        for i in range(x.shape[1]):
            for j in range(i):
                pairs = pairs + (x[:, i] * x[:, j]).sum(-1)
            if i % 2:
                odd = odd + 1
        running = torch.empty_like(x)
        mean = torch.zeros_like(x[:, 0])
        for t in reversed(range(x.shape[1])):
            mean = mean + (x[:, t] - mean) / (t + 1)
            running[:, t] = mean
        return pairs, torch.tensor(odd), running


class Whiles(nn.Module):
    """While a value says so, and while a number of Python is below a size."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        halvings, y = 0, x
        while y.abs().max() > 1:
            y = y / 2
            halvings += 1
        at, total = 0, torch.zeros(3)
        while at < x.shape[1]:
            total = total * 0.5 + x[:, at : at + 2].sum((0, 1))
            at += 2
        best = x[:, 0]
        for row in x.transpose(0, 1).clone():
            if row.sum() > best.sum():
                best = row
        return y, torch.tensor(halvings), total, best


MODULES = {"cells": Cells, "counts": Counts, "whiles": Whiles}


@pytest.fixture(scope="module", params=MODULES)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    torch.manual_seed(0)
    module = MODULES[request.param]().eval()
    return Proof((module, STEPS), tmp_path_factory.mktemp("loops") / "m.onnx")


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("time", range(1, 8))
def test_as_many_steps_as_python(proof: Proof, batch: int, time: int) -> None:
    proof.holds_for({"x": normal((batch, time, 3), seed=time)})
    proof.holds_for({"x": 5 * normal((batch, time, 3), seed=time)})


def test_a_loop_is_a_loop(proof: Proof) -> None:
    assert proof.operators()["Loop"] >= 2


def test_no_step_at_all(tmp_path: Path) -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            state, out = torch.ones(x.shape[0], 3), torch.zeros(x.shape[0], x.shape[1])
            for t in range(x.shape[1]):
                state = state * 0.5 + x[:, t]
                out[:, t] = state.sum(-1)
            return state, out

    signature = "x: float32[batch, time, 3]; where batch = 1..4, time = 0..7"
    proof = Proof((Sums().eval(), signature), tmp_path / "m.onnx")
    for time in (0, 1, 7):
        proof.holds_for({"x": normal((2, time, 3))})


class Grows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found = x[:, :1]
        for t in range(x.shape[1]):
            found = torch.cat([found, x[:, t : t + 1]], 1)
        return found


class LooksFarBack(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = [x[:, 0], x[:, 0]]
        for t in range(x.shape[1]):
            rows.append(rows[-2] * 0.5 + x[:, t])
        return torch.stack(rows, 1)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Grows, r"'found' is float32.* before a step and float32"),
        (LooksFarBack, "it reads the list that it appends to"),
    ],
)
def test_refuses_what_one_loop_cannot_be(
    module: type[nn.Module], reason: str, tmp_path: Path
) -> None:
    model = source.load((module().eval(), STEPS))
    with pytest.raises(ExportRefused, match=rf"(?s)test_loops\.py line \d+.*{reason}"):
        write(model, tmp_path / "m.onnx", opset=20, families=(FAMILY,))
