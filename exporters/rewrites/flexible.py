"""FlexAttention in the plain operators that it is defined by.

torch.export keeps `flex_attention` as one operator with two graphs in it, of the score and of the
mask, that no exporter translates; and `create_block_mask` takes a length for fixed, to cut it into
blocks of 128. Blocks only say what a kernel may leave out: while a model is traced there is one.
The functions of score and mask are written for one pair of a query and a key, and are called here
once, with indices that broadcast, in place of PyTorch's vmap over each of four axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention

from exporters.rewrites import Family
from exporters.rewrites.attention import for_each_head
from toolkit.uncompiled import uncompiled


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Tensor],
    block_mask: tuple[Any, ...],
    scale: float,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """[batch, heads, rows, features], log-sum-exp and maximum of the scores (both over log 2).

    As math_attention of torch/_higher_order_ops/flex_attention.py: no row without a key is NaN.
    """
    key, value = (for_each_head(t, query.shape[1]) for t in (key, value))
    exact = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(exact) @ key.to(exact).mT) * scale
    at = [
        torch.arange(size, device=query.device).reshape([-1, *[1] * (3 - axis)])
        for axis, size in enumerate(scores.shape)
    ]
    seen = block_mask[-1](*at)
    scores = torch.where(seen, score_mod(scores, *at), -torch.inf).expand(scores.shape)
    most = scores.amax(-1)
    blind = (most == -torch.inf)[..., None]
    shares = torch.where(blind, 0.0, scores.softmax(-1)).to(query.dtype)
    log2 = math.log(2)
    return shares @ value, scores.logsumexp(-1) / log2, most / log2


def _one_block(mask: Tensor, **_: Any) -> tuple[Tensor, None]:
    return torch.ones(1, 1, 1, 1, dtype=torch.int8, device=mask.device), None


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    with (
        uncompiled(),
        mock.patch.object(flex_attention, "flex_attention_hop", _attention),
        mock.patch.object(flex_attention, "_convert_mask_to_block_mask", _one_block),
    ):
        yield


FAMILY = Family("flexible", tracing=_tracing)
