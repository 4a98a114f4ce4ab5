"""Branches on sizes and on values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.corpora.bending import Bends

bend = Bends("branches")
ROWS = "x: float32[n, 4]; where n = 1..9"


@bend(ROWS)
class OnASize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 3:
            return x * 2
        return x + 1


@bend("x: float32[n, 4]; where n = 0..9")
class OnNothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 0:
            return torch.full((4,), -1.0)
        return x.mean(0)


@bend("x: float32[batch, time, 4]; where batch = 1..5, time = 1..9")
class OnParityOfALength(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) % 2:
            x = F.pad(x, (0, 0, 0, 1))
        pairs = x.reshape(x.size(0), x.size(1) // 2, 8)
        return pairs.sum(-1).amax(1)


@bend(ROWS)
class OnAValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hot, self.cold = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            y = self.hot(x)
        elif x.amax() < 0.5:
            y = self.cold(x)
        else:
            y = self.hot(x) - self.cold(x)
        return torch.relu(y)


@bend(ROWS)
class EarlyReturn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        confidence = x.softmax(-1).amax()
        if confidence > 0.6:
            return x
        for _ in range(2):
            x = torch.tanh(self.deep(x))
        return x


@bend("x: float32[batch, time, 4]; mask: bool[batch, time]; where batch = 1..5, time = 1..7")
class SkipsAFullMask(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if mask.all():
            return x.mean(1)
        kept = x * mask.unsqueeze(-1)
        return kept.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


@bend(ROWS)
class BothOfTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        scale = 2.0 if x.shape[0] > 2 and x[2].sum() > 0 else 0.5
        if not (x.min() > -1 or x.max() < 1):
            x = x.clamp(-1, 1)
        return x * scale


@bend(ROWS)
class Item(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        peak = x.abs().max().item()
        if peak > 1:
            return x / peak
        return x


@bend("x: float32[n, 4] in -1..1; where n = 1..9")
class AssertsAndRaises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 2, f"expected two dimensions, not {x.dim()}"
        assert (x.abs() <= 1).all(), "normalize first"
        if torch.isnan(x).any():
            raise ValueError("NaN in the input")
        return x.asin()


@bend(ROWS)
class ClampsWhereItMust(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        if y.max() > 1:
            y[:, 0] = 0.0
            y[y < -1] = -1.0
        return y


@bend("x: float32[n, 4]; gate: int64[1] in 0..2; where n = 1..9")
class PicksAnExpert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        if gate == 0:
            return self.experts[0](x)
        if gate == 1:
            return self.experts[1](x)
        return self.experts[2](x)


@bend("x: float32[n, 4]; k: int64[] in 1..3; where n = 1..9")
class NumberOfHopsIsAnInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hop = nn.Linear(4, 4)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        for number in range(3):
            if number < k:
                x = torch.tanh(self.hop(x))
        return x
