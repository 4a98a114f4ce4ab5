"""Sigmoid to the last digits also where it is small; not among the families that always apply.

ONNX Runtime 1.31 computes Sigmoid with an absolute error of 6e-8 (MLAS, a rational approximation):
of sigmoid(-12) = 6.1e-6 that is one part in a hundred. 1 / (1 + exp(-x)) is right to a few ulps
everywhere, takes two nodes more and is not fused, so it is for where the first file was seen to
differ (`exporters.own.Precise`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.rewrites import Family


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def _silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, half) / (1 + torch.exp(-x.narrow(dim, half, half)))


_ATEN = torch.ops.aten
FAMILY = Family(
    "precise",
    decompositions={
        _ATEN.sigmoid.default: _sigmoid,
        _ATEN.silu.default: _silu,
        _ATEN.glu.default: _glu,
    },
)
