"""Convolutions with as many groups as there are rows: every row of a batch has its own weights.

StyleGAN 2 makes the weights from a style, lays the rows of a batch side by side as channels and
convolves with `groups=batch`. In ONNX the number of groups is an attribute and not a value, so that
torch's exporters refuse it, or write the batch of the example. Here the window of every pixel is
laid out, and the groups are one more dimension of a product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import SymInt, Tensor
from torch.nn import functional

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing
from exporters.rewrites.pooling import each, gathered

Size = int | SymInt


def convolved(
    x: Tensor, weight: Tensor, strides: Sequence[int], dilations: Sequence[int], groups: Size
) -> Tensor:
    """[N, groups * I, *sizes] by [groups * O, I, *kernel], unpadded: [N, groups * O, *out]."""
    kernel = weight.shape[2:]
    for axis, (length, step, apart) in enumerate(zip(kernel, strides, dilations, strict=True)):
        at = 2 + 2 * axis
        count = (x.shape[at] - apart * (length - 1) - 1) // step + 1
        first = torch.arange(count)
        places = apart * torch.arange(length)[:, None] + step * first
        x = gathered(x, at, places)
    ends = range(3, x.dim(), 2)
    out = [x.shape[at] for at in ends]
    x = x.permute(0, 1, *(at - 1 for at in ends), *ends)
    columns = x.reshape(x.shape[0], groups, weight[0].numel(), -1)
    found = weight.reshape(groups, -1, weight[0].numel()) @ columns
    return found.reshape(x.shape[0], weight.shape[0], *out)


def _forward(axes: int) -> Callable[..., Tensor]:
    own = getattr(functional, f"conv{axes}d")

    def convolve(
        input: Tensor,  # noqa: A002
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Size = 1,
    ) -> Tensor:
        if isinstance(groups, int):
            found: Tensor = own(input, weight, bias, stride, padding, dilation, groups)
            return found
        dilations = each(dilation, axes)
        sides = _sides(padding, weight.shape[2:], dilations)
        x = functional.pad(input, sides)
        return _biased(convolved(x, weight, each(stride, axes), dilations, groups), bias)

    return convolve


def _transposed(axes: int) -> Callable[..., Tensor]:
    own = getattr(functional, f"conv_transpose{axes}d")

    def convolve(
        input: Tensor,  # noqa: A002
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: Size = 1,
        dilation: Any = 1,
    ) -> Tensor:
        """As the convolution of its pixels with zeros between them, by the kernel turned round."""
        if isinstance(groups, int):
            rest = (stride, padding, output_padding, groups, dilation)
            found: Tensor = own(input, weight, bias, *rest)
            return found
        strides, dilations = each(stride, axes), each(dilation, axes)
        numbers = zip(
            weight.shape[2:],
            strides,
            dilations,
            each(padding, axes),
            each(output_padding, axes),
            strict=True,
        )
        x = input
        sides: list[int] = []
        for at, (length, step, apart, pad, more) in enumerate(numbers, 2):
            x = _spread(x, at, step)
            before = apart * (length - 1) - pad
            sides[:0] = [before, before + more - (step - 1)]
        by_group = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
        turned = by_group.flip(tuple(range(2, 2 + axes)))
        x = functional.pad(x, sides)
        return _biased(convolved(x, turned, [1] * axes, dilations, groups), bias)

    return convolve


def _spread(x: Tensor, at: int, step: int) -> Tensor:
    """With `step` - 1 zeros after each value of the axis."""
    if step == 1:
        return x
    zeros = [0, 0] * (x.dim() - at - 1) + [0, step - 1]
    return functional.pad(x.unsqueeze(at + 1), zeros).flatten(at, at + 1)


def _sides(padding: Any, kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """What `functional.pad` is told, the last axis first."""
    if padding == "same":  # the odd one behind, as in ATen's Convolution.cpp
        total = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        pairs = [(n // 2, n - n // 2) for n in total]
    else:
        pairs = [(n, n) for n in each(0 if padding == "valid" else padding, len(kernel))]
    return [side for pair in reversed(pairs) for side in pair]


def _biased(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias.reshape(-1, *[1] * (x.dim() - 2))


_CALLS = {
    **{getattr(functional, f"conv{axes}d"): _forward(axes) for axes in (1, 2, 3)},
    **{getattr(functional, f"conv_transpose{axes}d"): _transposed(axes) for axes in (1, 2, 3)},
}

FAMILY = Family("grouped", tracing=lambda _: replacing(_CALLS))
