"""Multi-head attention over keys and values that earlier steps, or an encoder, have computed.

    softmax(q k^T / sqrt(d)) v                 d = width / heads

Vaswani et al.: Attention is all you need, 2017, section 3.2. torch.nn.MultiheadAttention computes
keys and values anew at every call, so a KV cache needs its own.
"""

import torch
from torch import Tensor, nn

Cache = tuple[Tensor, Tensor]
"""Keys and values, each [batch, heads, length, width / heads]."""


class KeysAndValues(nn.Module):
    """What a sequence [batch, length, width] offers to those that attend to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Cache:
        return split(self.key(x), self.heads), split(self.value(x), self.heads)


class Attention(nn.Module):
    """Queries from x [batch, tokens, width]; `allowed` [.., tokens, length] is True where each may
    look. Every query needs one place to look at: softmax over nothing is NaN."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Cache, allowed: Tensor) -> Tensor:
        queries = split(self.query(x), self.heads)
        mixed = nn.functional.scaled_dot_product_attention(queries, *cache, attn_mask=allowed)
        joined: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined


def split(x: Tensor, heads: int) -> Tensor:
    """[batch, length, width] to [batch, heads, length, width / heads]."""
    each: Tensor = x.unflatten(2, (heads, -1))
    return each.transpose(1, 2)


def extended(past: Cache, new: Cache) -> Cache:
    """The cache after a step: what was there, then what is new."""
    return torch.cat((past[0], new[0]), dim=2), torch.cat((past[1], new[1]), dim=2)


def pairs(flat: tuple[Tensor, ...]) -> list[Cache]:
    """(key, value, key, value, ...) as one (key, value) a layer."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def caches(name: str, layers: int, heads: int, length: str, width: int) -> str:
    """The lines of a signature for the keys and values of all layers, in the order of `pairs`."""
    return "\n".join(
        f"{name}.{layer}.{kind}: float32[batch, {heads}, {length}, {width}]"
        for layer in range(layers)
        for kind in ("key", "value")
    )
