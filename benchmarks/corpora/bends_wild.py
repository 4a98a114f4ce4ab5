"""What forward passes do besides: take gradients, settle, speak, keep by size, round up, go short.

Each was refused, by ours too, when it was first tried, or fell back on TorchScript.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.corpora.bending import Bends

ROWS = "x: float32[batch, n, 4] in -2..2; where batch = 1..5, n = 1..12"
bend = Bends("wild")


def _net(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 1))


@bend("places: float32[atoms, 3] in -2..2; kinds: int64[atoms] in 0..4; where atoms = 2..12")
class ForcesOfAPotential(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kinds, self.pairs, self.energy = nn.Embedding(5, 8), _net(1), _net(8)

    def forward(self, places: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            places.requires_grad_()
            alone = torch.eye(len(kinds))
            distances = ((places[:, None] - places).square().sum(-1) + alone).sqrt()
            near = self.pairs(torch.exp(-distances)[..., None])[..., 0] * (1 - alone)
            energy = self.energy(near @ self.kinds(kinds)).sum()
            return energy, -torch.autograd.grad(energy, places)[0]


@bend("x: float32[points, 2] in -2..2; where points = 1..9")
class CurvatureOfAField(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = _net(2)

    def forward(self, x: Tensor) -> Tensor:
        def slope(y: Tensor) -> Tensor:
            found: Tensor = torch.func.grad(lambda z: self.net(z).sum())(y)
            return found

        found: Tensor = torch.func.grad(lambda y: slope(y).square().sum())(x)
        return found


@bend(ROWS)
class Settles(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4)
        nn.init.normal_(self.cell.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.zeros_like(x)
        for _ in range(50):
            new = torch.tanh(self.cell(z) + x)
            if (new - z).norm() < 1e-3 * new.norm() + 1e-6:
                break
            z = new
        return z


@bend(ROWS)
class SpeaksToTheEnd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.embed, self.head = nn.GRUCell(4, 6), nn.Embedding(5, 4), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, word = torch.zeros(len(x), 6), x.sum((1, 2)).long() % 5
        ended, length = torch.zeros(len(x), dtype=torch.bool), torch.zeros(len(x)).long()
        for _ in range(20):
            state = self.cell(self.embed(word), state)
            word = self.head(state).argmax(-1)
            ended = ended | (word == 2)
            length = length + (~ended).long()
            if ended.all():
                break
        return state, length


@bend(ROWS)
class LeavesOutLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.head(x).softmax(-1)
        for layer in self.layers:
            x = torch.relu(layer(x))
            found = self.head(x).softmax(-1)
            if found.max() > 0.6:
                break
        last: Tensor = found
        return last


@bend("x: float32[batch, 4, length] in -2..2; where batch = 1..3, length = 1..40")
class StateSpace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.poles = nn.Parameter(torch.randn(4, 8, dtype=torch.cfloat))
        self.weights = nn.Parameter(torch.randn(4, 8, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        poles = torch.complex(-self.poles.real.abs(), self.poles.imag)
        powers = torch.exp(0.1 * poles[..., None] * torch.arange(length))
        kernel = 2 * torch.einsum("hn,hnl->hl", self.weights, powers).real
        spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        found: Tensor = torch.fft.irfft(spectrum, n=2 * length)
        return found[..., :length]


@bend(ROWS)
class ComputesShort(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found: Tensor = self.layer(x)
        return found.relu().float()


@bend(ROWS)
class TapsALayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.tapped = nn.Linear(4, 4), dict[str, Tensor]()
        self.layer.register_forward_hook(lambda m, given, found: self.tapped.update(found=found))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x).relu(), self.tapped["found"]


@bend(ROWS)
class KeepsMasksBySize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.masks: dict[Any, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1]
        if size not in self.masks:
            self.masks[size] = torch.ones(size, size).tril()
        return self.masks[size] @ x


@bend(ROWS)
class RoundsUpToAPower(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        most = 2 ** math.ceil(math.log2(n))
        padded = F.pad(x, (0, 0, 0, most - n)).sum(1)
        return padded / math.sqrt(n) * float(np.log(n + 1))


@bend("x: float32[batch, 3, h, w]; where batch = 1..3, h = 8..40, w = 8..40")
class PadsAndCrops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        y = F.avg_pool2d(F.pad(x, (0, (8 - w % 8) % 8, 0, -h % 8)), 8)
        return F.interpolate(y, scale_factor=8.0, mode="bilinear")[..., :h, :w] - x


@bend("x: float32[batch, 3, h, w]; where batch = 1..2, h = 8..24, w = 8..24")
class WindowsOfAnyImage(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, h, w = x.shape
        below = 4 - h % 4 if h % 4 != 0 else 0
        right = 4 - w % 4 if w % 4 != 0 else 0
        if below > 0 or right > 0:
            x = F.pad(x, (0, right, 0, below))
        rows, columns = x.shape[2] // 4, x.shape[3] // 4
        y = x.view(batch, channels, rows, 4, columns, 4).permute(0, 2, 4, 3, 5, 1)
        y = y.reshape(-1, 16, channels)
        y = (y @ y.mT).softmax(-1) @ y
        y = y.view(batch, rows, columns, 4, 4, channels).permute(0, 5, 1, 3, 2, 4)
        return y.reshape(batch, channels, 4 * rows, 4 * columns)[:, :, :h, :w]


@bend("x: float32[batch, n, 5]; mask: bool[batch, n]; where batch = 1..4, n = 1..9")
class ScoresOfTags(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.randn(5, 5))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        score = x[:, 0]
        for step in range(1, x.shape[1]):
            paths = score[:, :, None] + self.steps + x[:, step, None]
            score = torch.where(mask[:, step, None], paths.logsumexp(1), score)
        return score.logsumexp(1)


@bend("x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 8..24, w = 8..24")
class FourierOperator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.randn(3, 4, 3, 3, dtype=torch.cfloat))
        self.high = nn.Parameter(torch.randn(3, 4, 3, 3, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, h, w = x.shape
        found = torch.fft.rfft2(x)
        kept = torch.zeros(batch, 4, h, w // 2 + 1, dtype=torch.cfloat)
        for part, weights in ((slice(3), self.low), (slice(-3, None), self.high)):
            kept[:, :, part, :3] = torch.einsum("bixy,ioxy->boxy", found[:, :, part, :3], weights)
        result: Tensor = torch.fft.irfft2(kept, s=(h, w))
        return result


@bend("x: float32[batch, samples] in -1..1; where batch = 1..3, samples = 300..1000")
class EnhancesSpeech(nn.Module):
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(128))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.stft(x, 128, 32, window=self.window, return_complex=True)
        louder = torch.polar(found.abs().sqrt(), found.angle())
        return torch.istft(louder, 128, 32, window=self.window, length=x.shape[-1])


@bend(ROWS)
class OneOfSomeSizes(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[1]
        return x * 2 if n in (1, 3, 5) else x, x.new_tensor([n, 2 * n])
