"""Batch normalization by the statistics of the batch, as in training.

torchlib writes BatchNormalization with training_mode=1 and keeps what it computes of another mean:
the numbers are wrong, silently. Normalization by running statistics is left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _by_batch(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What is normalized, and the variance and the mean of each channel."""
    dims = [d for d in range(x.dim()) if d != 1]
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    shape = [1, -1] + [1] * (x.dim() - 2)
    found = (x - mean) * (variance + eps).rsqrt()
    found = found if weight is None else found * weight.reshape(shape)
    found = found if bias is None else found + bias.reshape(shape)
    return found, variance.reshape(-1), mean.reshape(-1)


def _native(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    return _no_stats(x, weight, bias, training, momentum, eps) if training else NotImplemented


def _no_stats(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    found, variance, mean = _by_batch(x, weight, bias, eps)
    return found, mean, (variance + eps).rsqrt()


def _functional(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """With the running statistics after this batch, its variance without bias."""
    if not training:
        return NotImplemented
    found, variance, mean = _by_batch(x, weight, bias, eps)
    count = x.numel() // x.shape[1]
    unbiased = variance * (count / (count - 1))
    return (
        found,
        mean,
        (variance + eps).rsqrt(),
        (1 - momentum) * running_mean + momentum * mean,
        (1 - momentum) * running_var + momentum * unbiased,
    )


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.native_batch_norm.default: _native,
        aten._native_batch_norm_legit.default: _native,
        aten._native_batch_norm_legit.no_stats: _no_stats,
        aten._native_batch_norm_legit_functional.default: _functional,
    }


FAMILY = Family("batchnorm", decompositions=_decompositions())
