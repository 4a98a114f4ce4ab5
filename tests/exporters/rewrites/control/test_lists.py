"""Lists that loops of a dynamic length fill: at either end, several items a step, read behind."""

import itertools
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.corpora.bends_layers import BestPath, PriorBoxes
from tests.exporters.holding import holds
from tests.exporters.rewrites.control.proving import Proof, normal

STEPS = "x: float32[batch, time, 3]; where batch = 1..4, time = 1..7"


class LooksBack(nn.Module):
    """At what the step before gave, from a list that had something and from one that had not."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = [x[:, 0]]
        for t in range(1, x.shape[1]):
            rows.append(rows[-1] * 0.5 + x[:, t])
        both: list[Tensor] = []
        for t in range(x.shape[1]):
            both.append(x[:, t])
            both += [both[-1] * 2, both[-1] - 1]
        return torch.stack(rows, 1), torch.stack(both, 1)


class TurnsRound(nn.Module):
    """In the four ways in which it is written."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        steps, front = [], [x[:, 0]]
        for t in range(x.shape[1]):
            steps.append(x[:, t] * t)
            front.insert(0, x[:, t] + t)
        total = torch.zeros_like(x[:, 0])
        for row in reversed(steps):
            total = total * 0.5 + row
        backwards = torch.stack(steps[::-1], 1)
        steps.reverse()
        return torch.stack(front, 1), total, backwards, torch.stack(steps, 1)


class SeveralAtOnce(nn.Module):
    """Over pairs of steps and of sequences."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        numbers, difference = [], torch.zeros_like(x[:, 0])
        for i, j in itertools.product(range(x.shape[1]), range(x.shape[0])):
            numbers += [i / x.shape[1], j + 0.5]
        for before, after in pairwise(x.unbind(1)):
            difference = difference * 0.5 + (after - before)
        both = torch.zeros_like(x[:, 0])
        for t, (row, other) in enumerate(zip(x.unbind(1), x.unbind(1), strict=True), start=1):
            both = both + row * other * t
        return torch.Tensor(numbers).view(-1, 2), difference, both


class Transposes(nn.Module):
    """Pairs of places to all first and all second ones (UDOP)."""

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(x.shape[1])
        left = torch.ones(x.shape[1], 3)
        rows, columns = zip(*torch.stack([steps, steps % 3], 1), strict=True)
        left[rows, columns] = 0
        return left * x + sum(row for row in rows)


MODULES = {
    "back": LooksBack,
    "round": TurnsRound,
    "several": SeveralAtOnce,
    "transposes": Transposes,
}


@pytest.fixture(scope="module", params=MODULES)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    module = MODULES[request.param]().eval()
    return Proof((module, STEPS), tmp_path_factory.mktemp("lists") / "m.onnx")


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("time", range(1, 8))
def test_as_python_has_it(proof: Proof, batch: int, time: int) -> None:
    proof.holds_for({"x": normal((batch, time, 3), seed=time)})


CASES = {
    BestPath: "scores: float32[batch, n, 5] in -3..3; where batch = 1..3, n = 1..8",
    PriorBoxes: "x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 9..24, w = 9..24",
}


@pytest.mark.parametrize("module", CASES)
def test_what_is_made_of_them(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")


class Front(nn.Module):
    """Funnel's positions: a known number before those of every other token."""

    def forward(self, x: Tensor) -> Tensor:
        positions = list(range(x.shape[1]))
        pooled = [-1] + positions[1:-1][::2]  # noqa: RUF005  # as it is written there
        ends = torch.arange(pooled[0] + 2 * len(pooled), pooled[0] - positions[-1] - 1, -2)
        return x.sum(1, keepdim=True) + ends[:, None].to(x.dtype) + pooled[1:][0]


def test_known_numbers_stand_before_a_range(tmp_path: Path) -> None:
    assert holds(Front, STEPS.replace("time = 1", "time = 3"), tmp_path / "m.onnx")


class Chunked(nn.Module):
    """Canine's windows: pairs of bounds in a list, of as many at all sizes, and a pair repeated."""

    def forward(self, x: Tensor) -> Tensor:
        bounds = []
        for start in range(0, x.shape[1], 8):
            bounds.append((start, min(x.shape[1], start + 8)))
        sizes = [(x.shape[1], x.shape[2])] * x.shape[0]
        rows = torch.stack([row[: size[0]] * size[1] for row, size in zip(x, sizes, strict=True)])
        return torch.cat([rows[:, start:end] for start, end in bounds], 1)


def test_pairs_in_a_list(tmp_path: Path) -> None:
    assert holds(Chunked, STEPS, tmp_path / "m.onnx")


class Strides(nn.Module):
    """Steps of a length: one (EnCodec without chunks, which keeps None beside it), or not known."""

    def forward(self, x: Tensor) -> Tensor:
        length, whole = x.shape[1], []
        for start in range(0, length, length):
            whole.append((x[:, start : start + length], None))
        quarters = [x[:, start] for start in range(0, length, (length + 3) // 4)]
        return torch.cat([whole[0][0], torch.stack(quarters, 1)], 1)


def test_a_range_in_steps_of_a_size(tmp_path: Path) -> None:
    signature = "x: float32[batch, time, 3]; where batch = 1..3, time = 1..5000"
    assert holds(Strides, signature, tmp_path / "m.onnx")
