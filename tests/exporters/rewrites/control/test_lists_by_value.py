"""Lists that values decide about: which rows are kept, and where a list ends."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.corpora.bends_layers import SuppressesByHand, WritesFrames
from tests.exporters.holding import holds
from tests.exporters.rewrites.control.proving import Proof, normal
from toolkit.errors import ExportRefused

STEPS = "x: float32[time, 3]; where time = 1..7"


class Keeps(nn.Module):
    """Some rows, behind what was there before and in front of it; what was kept last is read."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept, front, chain = [x[0]], [x[0]], [x[0]]
        for row in x:
            if row.sum() > 0:
                kept.append(row * 2)
            if row[0] > 0:
                front.insert(0, row)
            new = chain[-1] * 0.5 + row
            if new.sum() > 0:
                chain.append(new)
        return torch.stack(kept), torch.stack(front), torch.stack(chain, 1)


class Sorts(nn.Module):
    """Each row into one of two lists, a third that has all of them, and numbers of some."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        above, below, every, places = [x[0]], [x[0]], [], [0]
        for t in range(x.shape[0]):
            if x[t].sum() > 0:
                above.append(x[t])
                every.append(x[t])
            elif x[t, 0] > 0:
                below += [x[t] - 1, x[t] + 1]
                every.append(-x[t])
            else:
                every.append(x[t] * 0)
            if x[t, 1] > 0:
                places.append(t)
        return *map(torch.stack, (above, below, every)), torch.tensor(places)


class EndsBefore(nn.Module):
    """The row at which it ends is not in the list; in twenty steps at most."""

    def forward(self, x: Tensor) -> Tensor:
        state, steps = x.sum(0), [x[0]]
        for _ in range(20):
            state = state * 0.6 + 0.5
            if state.max() > 1:
                break
            steps.append(state)
        return torch.stack(steps)


class EndsBehind(nn.Module):
    """And here it is, and of as many steps as there are rows."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, steps = torch.zeros_like(x[0]), []
        for t in range(x.shape[0]):
            state = torch.tanh(state + x[t])
            steps.append(state)
            if state.max() > 0.8:
                break
        return torch.stack(steps), steps[-1]


class While(nn.Module):
    """Nobody knows how often before it is over: the loop is written twice, once to count."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        every, some = [x[0]], [x[0]]
        while x.abs().max() > 1:
            x = x / 2 - 0.1
            every.append(x[0])
            if x[0, 0] > 0:
                some.append(-x[0])
        return torch.stack(every), torch.stack(some), x


class GoesOn(nn.Module):
    """Behind the loop: the mean of each part between marks, and of what is left. Python's bool."""

    def forward(self, x: Tensor) -> Tensor:
        means, total, many = [], torch.zeros(3), 0
        for row in x:
            total, many = total + row, many + 1
            if bool((row > 0.5).any()):
                means.append(total / many)
                total, many = torch.zeros(3), 0
        means.append(total / max(many, 1))
        return torch.stack(means)


MODULES = (Keeps, Sorts, EndsBefore, EndsBehind, While, GoesOn)


@pytest.fixture(scope="module", params=MODULES)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return Proof((request.param().eval(), STEPS), tmp_path_factory.mktemp("lists") / "m.onnx")


@pytest.mark.parametrize("shift", [-3.0, -0.5, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("time", range(1, 8))
def test_as_python_has_it(proof: Proof, time: int, shift: float) -> None:
    proof.holds_for({"x": normal((time, 3), seed=time, shift=shift)})


class Twice(nn.Module):
    """Decided at two places: how many rows a step gives is 0, 1 or 2."""

    def forward(self, x: Tensor) -> Tensor:
        kept = [x[0]]
        for row in x:
            if row[0] > 0:
                kept.append(row)
            if row[1] > 0:
                kept.append(-row)
        return torch.stack(kept)


class TwoLoops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = []
        for row in x:
            rows.append(row)
        for row in x:
            rows.append(row * 2)
        return torch.stack(rows)


REFUSED = {Twice: "decided at more than one place", TwoLoops: "appended to by another"}


@pytest.mark.parametrize("module", REFUSED)
def test_a_step_gives_all_of_its_items_or_none(module: type[nn.Module], tmp_path: Path) -> None:
    with pytest.raises((ExportRefused, TypeError), match=REFUSED[module]):
        Proof((module().eval(), STEPS), tmp_path / "m.onnx")


CASES = {
    SuppressesByHand: "boxes: float32[n, 4] in 0..9; scores: float32[n] in 0..1; where n = 1..9",
    WritesFrames: "memory: float32[batch, t, 8] in -2..2; where batch = 1..3, t = 2..8",
}


@pytest.mark.parametrize("module", CASES)
def test_what_is_written_so(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")
