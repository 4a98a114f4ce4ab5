"""Attention as eager PyTorch computes it, rows without any key included.

torch's exporter writes scaled_dot_product_attention with a mask as a plain softmax: a row whose
keys are all masked is NaN (float masks) or the mean of all values (boolean masks), where PyTorch
says 0. And it never sees the fast paths that eager PyTorch takes through nn.MultiheadAttention and
nn.TransformerEncoderLayer, in which the same row is NaN and every mask is boolean. Here the traced
model takes the path that the eager one takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn import functional
from torch.nn.modules import activation, transformer

from exporters.rewrites import Family
from exporters.rewrites.calls import forwarding


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """scaled_dot_product_attention over [..., rows, features], 0 in rows without a key."""
    root = math.sqrt(scale if scale is not None else query.shape[-1] ** -0.5)
    if enable_gqa:
        key, value = (for_each_head(t, query.shape[-3]) for t in (key, value))
    # Both sides by the root, as PyTorch does, for the sake of float16.
    scores = (query * root) @ (key.transpose(-2, -1) * root)
    rows, keys = scores.shape[-2:]
    if is_causal:
        seen = torch.arange(keys, device=query.device) <= torch.arange(rows)[:, None]
        return _dropped(_masked(scores, seen).softmax(-1), dropout_p) @ value
    if attn_mask is None:
        return _dropped(scores.softmax(-1), dropout_p) @ value
    result = _dropped(_masked(scores, attn_mask).softmax(-1), dropout_p) @ value
    if attn_mask.dtype == torch.bool:
        blind = ~attn_mask.any(-1, keepdim=True)
    else:
        blind = attn_mask.amax(-1, keepdim=True) == -torch.inf
    return torch.where(blind, 0.0, result)


def for_each_head(shared: Tensor, heads: int) -> Tensor:
    """Keys or values [..., few, rows, features], each repeated for the heads that share it."""
    few = shared.shape[-3]
    if statically_known_true(few == heads):
        return shared
    shape = (*shared.shape[:-2], heads // few, *shared.shape[-2:])
    return shared.unsqueeze(-3).expand(shape).flatten(-4, -3)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    """A boolean mask is true where a key is seen; one of numbers is added."""
    return torch.where(mask, scores, -torch.inf) if mask.dtype == torch.bool else scores + mask


def _dropped(weights: Tensor, probability: float) -> Tensor:
    return functional.dropout(weights, probability) if probability else weights


# The native kernels: aten/src/ATen/native/transformers/attention.cpp and transformer.cpp


def native_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Of [batch, rows, features]; NaN in rows without a key."""
    linear = functional.linear
    weights, biases = qkv_weight.chunk(3), qkv_bias.chunk(3)
    q, k, v = (
        linear(x, w, b).unflatten(-1, (num_head, -1)).transpose(1, 2)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    scores = (q / math.sqrt(embed_dim // num_head)) @ k.transpose(-2, -1)
    if mask is not None:
        if mask_type == 1:  # of keys: [batch, keys]; else [rows, keys] or whole
            mask = mask[:, None, None]
        scores = torch.where(mask.to(torch.bool), -torch.inf, scores)
    shares = scores.softmax(-1)
    result = linear((shares @ v).transpose(1, 2).flatten(2), proj_weight, proj_bias)
    if not need_weights:
        return result, shares.new_zeros(0)
    return result, shares.mean(1) if average_attn_weights else shares


def native_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """An encoder layer: attention and a network of two layers, each with its norm and a sum."""

    def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), weight, bias, eps)

    def attend(x: Tensor) -> Tensor:
        packed = (qkv_weight, qkv_bias, proj_weight, proj_bias)
        heads = (embed_dim, num_heads)
        return native_attention(x, x, x, *heads, *packed, mask, False, False, mask_type)[0]

    def feed(x: Tensor) -> Tensor:
        hidden = functional.linear(x, ffn_weight_1, ffn_bias_1)
        hidden = functional.gelu(hidden) if use_gelu else functional.relu(hidden)
        return functional.linear(hidden, ffn_weight_2, ffn_bias_2)

    first, second = (norm_weight_1, norm_bias_1), (norm_weight_2, norm_bias_2)
    if norm_first:
        x = src + attend(norm(src, *first))
        return x + feed(norm(x, *second))
    x = norm(src + attend(src), *first)
    return norm(x + feed(x), *second)


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    """The paths of eager PyTorch: while it is traced, a model would leave them."""
    kind = nn.TransformerEncoder
    encoders = [
        m for m in model.modules() if isinstance(m, kind) and type(m).forward is kind.forward
    ]
    with ExitStack() as stack:
        # A trace runs under a mode, for which these layers take their slow path.
        stack.enter_context(mock.patch.object(torch.overrides, "has_torch_function", _overridden))
        stack.enter_context(mock.patch.object(activation, "_is_make_fx_tracing", _traced))
        stack.enter_context(mock.patch.object(transformer, "_detect_is_causal_mask", _is_causal))
        for encoder in encoders:
            stack.enter_context(forwarding(encoder, _encoder_forward))
        yield


# Two functions, for torch's dynamo keeps a table of both by identity.
def _overridden(*_: Any) -> bool:
    return False


def _traced(*_: Any) -> bool:
    return False


def _is_causal(mask: Tensor | None, is_causal: bool | None = None, size: Any = None) -> bool:
    """A hint only: PyTorch compares the mask with a causal one, which gives the same numbers."""
    return bool(is_causal)


def _encoder_forward(
    encoder: nn.TransformerEncoder,
    src: Tensor,
    mask: Tensor | None = None,
    src_key_padding_mask: Tensor | None = None,
    is_causal: bool | None = None,
) -> Tensor:
    """Eager PyTorch drops the padding where a mask lets it (nested tensors): it comes out as 0."""
    first: Any = encoder.layers[0]
    if (
        not encoder.use_nested_tensor
        or not torch.backends.mha.get_fastpath_enabled()
        or src_key_padding_mask is None
        or mask is not None
        or src.dim() != 3
        or first.training
    ):
        return _unnested(encoder, src, mask, src_key_padding_mask, is_causal)
    padding = src_key_padding_mask.to(torch.bool)
    if encoder.mask_check:
        ends = (~padding).sum(1, keepdim=True)
        left_aligned = (padding == (torch.arange(src.shape[1]) >= ends)).all()
        dropped = padding & left_aligned
    else:
        dropped = padding
    if src_key_padding_mask.dtype != torch.bool:  # numbers other than -inf are dropped as well
        src_key_padding_mask = torch.where(dropped, -torch.inf, src_key_padding_mask)
    x = src
    for layer in encoder.layers:
        x = layer(x, is_causal=bool(is_causal), src_key_padding_mask=src_key_padding_mask)
    x = torch.where(dropped[..., None], 0.0, x)
    return x if encoder.norm is None else encoder.norm(x)


def _unnested(encoder: nn.TransformerEncoder, *arguments: Any) -> Tensor:
    own, encoder.use_nested_tensor = encoder.use_nested_tensor, False
    try:
        return nn.TransformerEncoder.forward(encoder, *arguments)
    finally:
        encoder.use_nested_tensor = own


_aten = torch.ops.aten

FAMILY = Family(
    "attention",
    tracing=_tracing,
    decompositions={
        _aten.scaled_dot_product_attention.default: attention,
        _aten._native_multi_head_attention.default: native_attention,
        _aten._transformer_encoder_layer_fwd.default: native_layer,
    },
)
