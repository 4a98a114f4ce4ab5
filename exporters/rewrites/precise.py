"""Functions that ONNX Runtime rounds coarsely, written out; not among the families always applied.

ONNX Runtime 1.31 computes Sigmoid with an absolute error of 6e-8 (MLAS, a rational approximation):
of sigmoid(-12) = 6.1e-6 that is one part in a hundred. 1 / (1 + exp(-x)) is right to a few ulps
everywhere, takes two nodes more and is not fused. Its Elu is exp(x) - 1, off by 3e-8 near 0. Its
DFT is ten times as far off as PyTorch's (FNet, 24 tokens); a product with the matrix of cosines and
sines is not, and takes n * n steps. So all are for where the first file was seen to differ
(`exporters.own.Precise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from exporters.rewrites import Family


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def _silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    below = torch.expm1(x.clamp(max=0.0) * input_scale) * (alpha * scale)
    return torch.where(x > 0, x * scale, below)


def _celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return _elu(x, alpha, input_scale=1 / alpha)


def _selu(x: Tensor) -> Tensor:
    """With the constants of Klambauer et al. (arxiv.org/abs/1706.02515), as ATen has them."""
    return _elu(x, 1.6732632423543772, 1.0507009873554805)


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, half) / (1 + torch.exp(-x.narrow(dim, half, half)))


def _fft_c2c(x: Tensor, dim: Sequence[int], normalization: int, forward: bool) -> Tensor:
    """ATen's normalization: 0 none, 1 by the root of the number of elements, 2 by the number."""
    pair = torch.view_as_real(x)
    real, imaginary = pair.select(-1, 0), pair.select(-1, 1)
    sign = 1 if forward else -1
    for axis in dim:
        cosine, sine = _turns(x.shape[axis], real.dtype)
        a, b = real.transpose(axis, -1), imaginary.transpose(axis, -1)
        real = (a @ cosine + sign * (b @ sine)).transpose(axis, -1)
        imaginary = (b @ cosine - sign * (a @ sine)).transpose(axis, -1)
    if normalization:
        for axis in dim:
            count = _count(x.shape[axis])[1].to(real.dtype)
            scale = count.sqrt() if normalization == 1 else count
            real, imaginary = real / scale, imaginary / scale
    return torch.complex(real, imaginary)


def _turns(n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of 2 pi j k / n, [n, n]; j k modulo n, so that the angle is exact."""
    k, count = _count(n)
    angles = (k[:, None] * k % count).double() * (2 * pi / count)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _count(n: int) -> tuple[Tensor, Tensor]:
    """0..n-1, and [n] as a tensor: torch.export takes no size for a number."""
    k = torch.arange(n)
    return k, k[-1:] + 1


_ATEN = torch.ops.aten
FAMILY = Family(
    "precise",
    decompositions={
        _ATEN.sigmoid.default: _sigmoid,
        _ATEN.silu.default: _silu,
        _ATEN.glu.default: _glu,
        _ATEN.elu.default: _elu,
        _ATEN.celu.default: _celu,
        _ATEN.selu.default: _selu,
        _ATEN._fft_c2c.default: _fft_c2c,
    },
)
