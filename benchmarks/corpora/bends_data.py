"""Indices, masks, orders, spectra, dtypes and empty tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.corpora.bending import Bends

bend = Bends("data")
ROWS = "x: float32[n, 4]; where n = 1..9"


@bend("x: float32[batch, 3, h, w]; where batch = 1..3, h = 5..16, w = 5..16")
class PoolsToASize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.head = nn.AdaptiveAvgPool2d((3, 2)), nn.Linear(18, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(x).flatten(1))


@bend("x: float32[batch, tokens, 16]; where batch = 1..4, tokens = 1..12")
class EncoderStack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


@bend("x: float32[batch, source, 8]; y: float32[batch, target, 8]; "
      "where batch = 1..3, source = 1..8, target = 1..8")  # fmt: skip
class WholeTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        causal = nn.Transformer.generate_square_subsequent_mask(y.size(1))
        return self.net(x, y, tgt_mask=causal, tgt_is_causal=True)


@bend(ROWS)
class KeepsThePositive(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = x[x > 0]
        return kept.sum(), torch.tensor(kept.numel())


@bend("x: float32[n, 4]; at: int64[k] in 0..3; where n = 1..9, k = 1..6")
class PutsByIndex(nn.Module):
    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        y = x.clone()
        y[:, at] = 7.0
        return y.index_put((torch.tensor([0]), at[:1]), torch.tensor(3.0), accumulate=True)


@bend("x: int64[n] in 0..5; where n = 1..20")
class StableOrder(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, order = torch.sort(x, stable=True, descending=True)
        return values, order


@bend("x: float32[n, 5]; y: float32[m, 5]; where n = 1..9, m = 1..9")
class Distances(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        apart = torch.cdist(x, y)
        return apart, torch.cdist(x, y, p=1.0).amin(1)


@bend("ids: int64[n] in 0..9; weights: float32[n]; where n = 1..20")
class Counts(nn.Module):
    def forward(self, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return torch.bincount(ids, minlength=10), torch.bincount(ids, weights, minlength=10)


@bend("x: float32[n, n]; y: float32[batch, n, 3]; where n = 1..7, batch = 1..4")
class RepeatedLetters(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.einsum("ii->i", x), torch.einsum("ii,bij->bj", x, y)


@bend("x: float32[batch, time]; where batch = 1..3, time = 16..64 step 16")
class PowerSpectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        frames = x.reshape(x.size(0), -1, 16) * torch.hann_window(16)
        return torch.fft.rfft(frames).abs().square().clamp(min=1e-6).log()


@bend(ROWS)
class ComplexInside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(-1, 2, 2).contiguous())
        turn = torch.polar(torch.ones(2), torch.tensor([0.3, 1.1]))
        return torch.view_as_real(pairs * turn).flatten(1)


@bend(ROWS)
class TiesAndWinners(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        rounded = x.round()
        values, indices = rounded.topk(2, dim=-1)
        return {"best": rounded.argmax(-1), "values": values, "indices": indices}


@bend(ROWS)
class NothingButBool(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x > 0, (x > 0).any(), torch.isfinite(x).all(-1)


@bend(ROWS)
class Scalars(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sum(), x.std(unbiased=False)


@bend("x: float32[n, 4] in {-1, 0, 1, 4}; where n = 1..9")
class NanInTheOtherBranch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x.sqrt() / x, torch.nan_to_num(x / x.abs(), nan=5.0))


@bend("x: float32[n, 4]; where n = 0..6")
class Empties(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.cat([x, x * 2]), x.sum(0), x.reshape(-1)


@bend("x: float32[n, 4096]; where n = 1..6")
class LongSums(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sum(-1), x.cumsum(-1)[:, -1]


@bend(ROWS)
class HalfIsland(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.first(x)).half().float()
        return self.last(y) * torch.tensor(0.1, dtype=torch.float64)


@bend("x: float32[4, n]; where n = 1..9")
class Transposed(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.t()[::2]
        return y.contiguous().view(-1), y.expand(2, -1, -1)


@bend("x: float32[batch, h, w, 3]; where batch = 1..3, h = 8..32 step 8, w = 8..32 step 8")
class Windows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        tiles = x.view(b, h // 8, 8, w // 8, 8, c).permute(0, 1, 3, 2, 4, 5)
        tiles = tiles.reshape(-1, 64, c)
        mean = F.layer_norm(tiles, (c,)).mean(1)
        return mean.reshape(b, -1, c)


@bend("x: float32[batch, time, 4]; lengths: int64[batch] in 0..8; where batch = 1..5, time = 1..8")
class RaggedMean(nn.Module):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(x.size(1))[None, :] < lengths[:, None]
        summed = x.masked_fill(~mask.unsqueeze(-1), 0.0).sum(1)
        return summed / torch.clamp(mask.sum(1), min=1).unsqueeze(-1)
