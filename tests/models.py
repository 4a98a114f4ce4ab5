"""Small models, each hard in one way, with the signature that it truly accepts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.signature import Signature


def linear() -> tuple[nn.Module, str]:
    """The easiest model that has a batch."""
    return _seeded(nn.Linear, 4, 3), "x: float32[batch, 4]\nwhere batch = 1..16"


def square() -> tuple[nn.Module, str]:
    """A square weight: transposed, it fits as well."""
    return _seeded(nn.Linear, 6, 6), "x: float32[batch, 6]\nwhere batch = 1..16"


def encoder() -> tuple[nn.Module, str]:
    """Its fast path reshapes by the traced batch and length."""
    layer = _seeded(nn.TransformerEncoderLayer, 16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    return model.eval(), "x: float32[batch, tokens, 16]\nwhere batch = 1..8, tokens = 1..24"


def adaptive_pool() -> tuple[nn.Module, str]:
    """Its window depends on the size: exporters bake in the traced one."""
    signature = "x: float32[batch, 2, h, w]\nwhere batch = 1..4, h = 6..24, w = 6..24"
    return nn.AdaptiveAvgPool2d(6).eval(), signature


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[0] > 3 else x + 1


def branch() -> tuple[nn.Module, str]:
    """Python decides by a size: a trace takes one side for ever."""
    return Branch().eval(), "x: float32[batch, 4]\nwhere batch = 1..16"


class Lookup(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 1, x * 2)[bool(x.shape[0] > 3)]


def lookup() -> tuple[nn.Module, str]:
    """Python decides by a size, and not in a branch that could become an If."""
    return Lookup().eval(), "x: float32[batch, 4]\nwhere batch = 1..16"


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        states, (last, _) = self.lstm(x)
        return {"scores": self.out(states), "last": last[0]}


def recurrent() -> tuple[nn.Module, str]:
    """An LSTM over a dynamic time: dynamo refuses, TorchScript freezes the declared length."""
    return _seeded(Recurrent), "x: float32[batch, time, 3]\nwhere batch = 1..6, time = 1..20"


class Stacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        lengths = lengths.clamp(1, x.shape[0])
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return self.gru(packed)[1][-1]


def stacked() -> tuple[nn.Module, str]:
    """Layers of which PyTorch has one call, over sequences that it keeps without their padding."""
    signature = "x: float32[time, batch, 3]\nlengths: int64[batch] in 1..9"
    return _seeded(Stacked), f"{signature}\nwhere time = 1..9, batch = 1..4"


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 20)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embedding(ids) * mask[..., None]
        return {"logits": self.out(hidden), "best": self.out(hidden).argmax(-1)}


def tokens() -> tuple[nn.Module, str]:
    """Two integer inputs that share their dimensions; an integer output beside a float one."""
    signature = """
        ids: int64[batch, tokens] in 0..19
        mask: int64[batch, tokens] in {0, 1}
        where batch = 1..6, tokens = 1..12
    """
    return _seeded(Tokens), signature


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.norm(x))
        return result


def normalized() -> tuple[nn.Module, str]:
    """A layer norm, whose epsilon shows where the variance is small."""
    return _seeded(Normalized), "x: float32[batch, 8] in -1..1\nwhere batch = 1..16"


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.norm(self.conv(pixels)).relu().mean((2, 3))
        result: Tensor = self.out(hidden)
        return result


def convolutional() -> tuple[nn.Module, str]:
    """Dynamic height and width in steps of 4, a batch norm to fold, a mean over all pixels."""
    signature = (
        "pixels: float32[batch, 1, h, w] in 0..1\n"
        "where batch = 1..4, h = 8..24 step 4, w = 8..24 step 4"
    )
    return _seeded(Convolutional), signature


class Unsigned(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.float() / 255, x.flip(-1)


def unsigned() -> tuple[nn.Module, str]:
    """Bytes in, and bytes among what comes out."""
    return Unsigned().eval(), "x: uint8[batch, 4]\nwhere batch = 1..8"


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x)  # training=True is its default


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 4)
        self.noise = Noisy()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.noise(self.dense(x))
        return result


def random() -> tuple[nn.Module, str]:
    """Draws random numbers in eval mode too."""
    return _seeded(Random), "x: float32[batch, 4]\nwhere batch = 1..16"


_EYE = torch.eye(4)


class FixedPrecision(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ _EYE


def fixed_precision() -> tuple[nn.Module, str]:
    """Holds a float32 tensor that is no part of it: it does not run in float64."""
    return FixedPrecision().eval(), "x: float32[batch, 4]\nwhere batch = 1..16"


def _seeded(kind: type[nn.Module], *arguments: object, **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(*arguments, **options).eval()


def parsed(made: tuple[nn.Module, str]) -> tuple[nn.Module, Signature]:
    """The same with its signature read."""
    return made[0], Signature.parse(made[1])
