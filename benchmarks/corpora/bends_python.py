"""Python around the tensors: structures, state, caches, hooks, wrappers, printing."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

from benchmarks.corpora.bending import Bends

bend = Bends("python")
ROWS = "x: float32[n, 4]; where n = 1..9"
TOKENS = "ids: int64[batch, tokens] in 0..19; where batch = 1..4, tokens = 1..12"


class Pair(NamedTuple):
    mean: Tensor
    rest: dict[str, Tensor | None]


@dataclass
class Result:
    pair: Pair
    layers: tuple[Tensor, ...]


@bend(ROWS)
class NestedOutputs(nn.Module):
    def forward(self, x: Tensor) -> Result:
        pair = Pair(x.mean(0), {"top": x.amax(), "nothing": None})
        return Result(pair, (x, x + 1))


@bend("x: float32[n, 4]; scale: float32[4]; where n = 1..9")
class KeywordsOnly(nn.Module):
    def forward(self, *, scale: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = x * scale
        return y if mask is None else y * mask


@bend("x: float32[n, 4]; where n = 1..9")
class AnInputIsAnOutput(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, x[:, :2], x


@bend(ROWS)
class InPlaceOnAView(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 1
        head = y[:, :2]
        head.mul_(3).add_(1)
        y[:, -1].zero_()
        return y


@bend(ROWS)
class UpdatesABuffer(nn.Module):
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * 2


@bend("x: float32[batch, 3, h, w]; where batch = 1..4, h = 4..8, w = 4..8")
class ComputedReshapes(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        b, c, h, w = x.size()
        flat = x.view(x.size(0), -1)
        tokens = x.reshape(b, c, h * w).transpose(1, 2)
        grid = torch.full((h, w), float(b) / c) + torch.arange(w)
        return flat.sum(1), tokens @ tokens.new_ones(c, 2) + grid.reshape(1, -1, 1)


@bend(TOKENS)
class PositionsAndCausalMask(nn.Module):
    positions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.register_buffer("positions", torch.randn(16, 8))
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.size(1)
        x = self.embed(ids) + self.positions[:length]
        mask = torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
        scores = x @ x.transpose(1, 2) / math.sqrt(x.size(-1)) + mask
        return self.head(scores.softmax(-1) @ x)


@bend("x: float32[batch, new, 8]; past: float32[batch, old, 8]; "
      "where batch = 1..3, new = 1..4, old = 0..6")  # fmt: skip
class TakesACache(nn.Module):
    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        keys = torch.cat([past, x], 1)
        total, new = keys.size(1), x.size(1)
        seen = torch.ones(new, total, dtype=torch.bool).tril(total - new)
        return F.scaled_dot_product_attention(x, keys, keys, attn_mask=seen), keys


@lru_cache(maxsize=8)
def window(length: int) -> Tensor:
    return torch.linspace(0, 1, length)


@bend("x: float32[batch, time]; where batch = 1..3, time = 2..12")
class CachedWindow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * window(x.shape[-1])


@bend("x: float32[batch, time]; where batch = 1..3, time = 2..12")
class CacheOnSelf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._masks: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length not in self._masks:
            self._masks[length] = torch.arange(length) % 2 == 0
        return x.masked_fill(self._masks[length], 0.0)


class Shifted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(4))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.shift


@bend(ROWS)
class Parametrized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normed = parametrizations.weight_norm(nn.Linear(4, 4))
        self.spectral = parametrizations.spectral_norm(nn.Linear(4, 4))
        self.shifted = nn.Linear(4, 4)
        parametrize.register_parametrization(self.shifted, "weight", Shifted())

    def forward(self, x: Tensor) -> Tensor:
        return self.shifted(self.spectral(self.normed(x)))


@bend(ROWS)
class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)])
        self.seen: dict[str, Tensor] = {}
        self.layers[1].register_forward_hook(self._remember)
        self.layers[2].register_forward_pre_hook(lambda _, given: (given[0] * 2,))

    def _remember(self, _module: nn.Module, _given: object, output: Tensor) -> None:
        self.seen["hidden"] = output

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            x = layer(x)
        return x, self.seen["hidden"].mean()


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


@bend(ROWS)
class TrainingTools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            scale = x.abs().mean()
        with torch.autocast("cpu", enabled=False):
            x = checkpoint(self.first, x, use_reentrant=False)
        return Rounded.apply(self.second(x) * 8 / scale.clamp(min=0.1))


class Doubler(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 2:
            return x * 2
        return x


@bend(ROWS)
class ScriptedPart(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part, self.out = torch.jit.script(Doubler()), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.part(x))


@bend(ROWS)
class Talkative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        logging.getLogger(__name__).debug("got %s", tuple(x.shape))
        text = f"{x.shape[0]} rows of {x.shape[1]}"
        print(text, x.dtype)
        return x / x.shape[0]


@bend(ROWS)
class DispatchesByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act_gelu, self.act_relu = nn.GELU(), nn.ReLU()
        self.order = ["relu", "gelu"]

    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("this module cannot be copied")

    def forward(self, x: Tensor) -> Tensor:
        for name in self.order:
            layer = getattr(self, f"act_{name}")
            x = layer(x) if type(layer) is nn.GELU else layer(x) + x
        return x


@bend("x: float32[n] in 1..5; where n = 1..9")
class ListsOfNumbers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        peaks = x.amax().reshape(1).tolist()
        return torch.tensor(peaks) - x / float(x.shape[0])


@bend(ROWS)
class ThroughNumpy(nn.Module):
    """Must be refused, or be right: what numpy computes is no constant."""

    def forward(self, x: Tensor) -> Tensor:
        peak = x.detach().numpy().max()
        return x / float(abs(peak) + 1.0)


@bend(ROWS)
class ActiveDropout(nn.Module):
    """Must be refused as random: `training` is True by default."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5)
