"""Loops over a dynamic length, and while a value says so."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.corpora.bending import Bends

bend = Bends("loops")
STEPS = "x: float32[batch, time, 3]; where batch = 1..5, time = 1..8"


@bend(STEPS)
class CellAndStack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRUCell(3, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(x.shape[0], 6)
        outputs = []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            outputs.append(self.out(h))
        return torch.stack(outputs, dim=1), h


@bend(STEPS)
class CellFromNone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for t in reversed(range(x.size(1))):
            state = self.cell(x[:, t, :], state)
        return state[0] + state[1]


@bend("x: float32[time, batch, 3]; where batch = 1..5, time = 0..8")
class StepsOfATensor(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        best = torch.full((x.shape[1], 3), -9.0)
        for step in x:
            best = torch.maximum(best * 0.9, step)
        return best


@bend(STEPS)
class RunningMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total, out = 0, torch.empty_like(x)
        for t in range(x.shape[1]):
            total = total + x[:, t]
            out[:, t] = total / (t + 1)
        return out


@bend(STEPS)
class OnlyIfItHelps(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        best, at = x[:, 0], torch.zeros((), dtype=torch.int64)
        for t in range(1, x.shape[1]):
            if x[:, t].sum() > best.sum():
                best = x[:, t]
                at = torch.tensor(t)
        return best, at


@bend(STEPS)
class Pairs(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(x.shape[0])
        for i in range(x.shape[1]):
            for j in range(i):
                total = total + (x[:, i] * x[:, j]).sum(-1)
        return total


@bend("x: float32[n, 4]; where n = 1..9")
class HalvesWhileLarge(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        halvings = 0
        while x.abs().max() > 1:
            x = x / 2
            halvings += 1
        return x, torch.tensor(halvings)


@bend("x: float32[n] in 0.5..9; where n = 1..9")
class NewtonUntilClose(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        root, step = x, 0
        while step < 20 and (root * root - x).abs().max() > 1e-3:
            root = 0.5 * (root + x / root)
            step += 1
        return root


@bend("x: float32[n, 4]; where n = 1..33")
class TreeSum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total, at = torch.zeros(4), 0
        while at < x.shape[0]:
            total = total * 0.5 + x[at : at + 8].sum(0)
            at += 8
        return total


@bend("x: float32[batch, time, 3]; lengths: int64[batch] in 1..8; where batch = 1..5, time = 1..8")
class FreezesFinishedRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(3, 6)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        h = x.new_zeros(x.size(0), 6)
        for t in range(x.size(1)):
            alive = (t < lengths).unsqueeze(1)
            h = torch.where(alive, self.cell(x[:, t], h), h)
        return h


@bend(STEPS)
class ReadsItsOwnOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(5, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, last = x.new_zeros(x.size(0), 6), x.new_zeros(x.size(0), 2)
        said = []
        for t in range(x.size(1)):
            h = self.cell(torch.cat([x[:, t], last], -1), h)
            last = self.head(h).softmax(-1)
            said.append(last.unsqueeze(1))
        return torch.cat(said, 1)


@bend("x: float32[n, 4]; where n = 1..9")
class StopsEarly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            new = torch.tanh(self.step(x))
            if (new - x).abs().max() < 0.5:
                break
            x = new
        return x
