"""What a cache of transformers holds, as tensors with names, and a cache made of them.

Attention keeps `key` and `value` [batch, heads, past, width]; a recurrence (Mamba, gated delta
rule) states of a fixed size: `conv`, the inputs that its convolution still sees, and `recurrent`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.signature import TensorSpec

State = list[dict[str, Tensor]]
"""Of each layer, by kind."""
Layout = tuple[tuple[str, ...], ...]
"""The kinds of each layer."""

ATTENTION = ("key", "value")


def held(cache: Any) -> State:
    """Raises TypeError where a layer of the cache holds anything but these."""
    return [dict(_kept(layer)) for layer in cache.layers]


def _kept(layer: Any) -> Iterator[tuple[str, Tensor]]:
    from transformers import cache_utils

    attending = ("DynamicLayer", "DynamicSlidingWindowLayer")
    both = (
        "LinearAttentionAndFullAttentionLayer",
        "LinearAttentionAndSlidingWindowAttentionLayer",
    )
    kind = type(layer).__name__
    if kind == "DummyLayer":  # of a layer without a state among others (Nemotron-H)
        return
    if kind not in (*attending, *both, "LinearAttentionLayer"):
        raise TypeError(f"a layer of the cache is a {kind}")
    if kind != "LinearAttentionLayer":
        if layer.keys is None or layer.keys.dim() != 4:
            raise TypeError("keys are not [batch, heads, length, width]")
        yield from zip(ATTENTION, (layer.keys, layer.values), strict=True)
    if isinstance(layer, cache_utils.LinearAttentionLayer):
        for name in ("conv", "recurrent"):
            for n, tensor in getattr(layer, f"{name}_states").items():
                if tensor is not None:
                    yield f"{name}.{n}" if n else name, tensor


def layout(state: State) -> Layout:
    return tuple(map(tuple, state))


def attends(kinds: Layout) -> bool:
    """Is there a layer whose state is as long as what came before?"""
    return any("key" in layer for layer in kinds)


def shaped(kinds: Layout, flat: Sequence[Tensor]) -> State:
    """Tensors in the order of `named`."""
    tensors = iter(flat)
    return [dict(zip(names, tensors, strict=False)) for names in kinds]


def named(prefix: str, state: State) -> dict[str, Tensor]:
    return {f"{prefix}{n}.{k}": t for n, layer in enumerate(state) for k, t in layer.items()}


def specs(prefix: str, state: State, length: int | str) -> list[TensorSpec]:
    def shape(kind: str, tensor: Tensor) -> tuple[int | str, ...]:
        rest: tuple[int | str, ...] = tuple(tensor.shape[1:])
        return ("batch", rest[0], length, rest[2]) if kind in ATTENTION else ("batch", *rest)

    return [
        TensorSpec(f"{prefix}{n}.{kind}", "float32", shape(kind, tensor))
        for n, layer in enumerate(state)
        for kind, tensor in layer.items()
    ]


def empty(state: State, rows: int) -> list[Tensor]:
    """The state before the first token, in the order of `named`."""

    def before(kind: str, tensor: Tensor) -> Tensor:
        rest = tensor.shape[1:]
        return tensor.new_zeros(rows, *(rest[0], 0, rest[2]) if kind in ATTENTION else rest)

    return [before(kind, tensor) for layer in state for kind, tensor in layer.items()]


def cache_of(state: State) -> Any:
    """A cache that holds these. Set and not updated, which would join each to an empty tensor."""
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    cache.layers.extend(map(_layer, state))
    return cache


def _layer(state: dict[str, Tensor]) -> Any:
    from transformers import cache_utils as utils

    if not state:
        return utils.DummyLayer()
    attending, recurs = "key" in state, any(kind not in ATTENTION for kind in state)
    made: Any = utils.DynamicLayer
    if recurs:
        both, alone = utils.LinearAttentionAndFullAttentionLayer, utils.LinearAttentionLayer
        made = both if attending else alone
    count = 1 + max((int(k.partition(".")[2] or 0) for k in state), default=0)
    layer: Any = made(number_of_states=count) if recurs else made()
    some = next(iter(state.values()))
    layer.dtype, layer.device = some.dtype, some.device
    if attending:
        layer.keys, layer.values, layer.is_initialized = state["key"], state["value"], True
    for kind, tensor in state.items():
        name, _, number = kind.partition(".")
        if name not in ATTENTION:  # written over in place: the caller's stays as it is
            n = int(number or 0)
            getattr(layer, f"{name}_states")[n] = torch.clone(tensor)
            getattr(layer, f"is_{name}_states_initialized")[n] = True
            layer.has_previous_state[n] = True
            if name == "conv":
                layer.conv_kernel_size[n] = tensor.shape[-1]
    return layer
