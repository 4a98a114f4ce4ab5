"""Attention in sliding windows (Longformer, LED): any number of windows and of global tokens.

By default the windows are strided views of one tensor, and their number a tensor that
`torch.div(size, width)` makes: torch.export then knows neither. The models have another way, by
`unfold`, which the setting `onnx_export` of their config chooses.

What tokens with global attention see and give is computed by three branches of which the later ones
use what the first has defined, over `nonzero` and its counts. Here the places of these tokens are
sorted to the front of each row: as many as the row that has the most, in some other row padding.
None at all is 0 of them, and no branch is left.

Whether a text must be padded to whole windows was one more branch, with sizes that differ. Here a
text is padded by 0 as well. How many windows it has is a size of its own: as a quotient of the
length, which comes back in the size of every value, it takes torch.export minutes to compare these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import SymInt, Tensor, nn
from torch.nn import functional

from exporters.rewrites import Family
from exporters.rewrites.calls import forwarding, replacing

_SETTING, _PAD = "onnx_export", "_pad_to_window_size"


def _div(one: Any, other: Any, **keywords: Any) -> Any:
    """Of sizes, which are not negative, the whole quotient is a size."""
    sizes = all(isinstance(n, (int, SymInt)) for n in (one, other))
    if sizes and keywords.get("rounding_mode"):
        return one // other
    return torch.div(one, other, **keywords)


def _attention(
    self: Any,
    hidden_states: Tensor,
    attention_mask: Tensor,
    is_index_masked: Tensor,
    is_index_global_attn: Tensor,
    is_global_attn: Any = None,
    output_attentions: bool = False,
) -> tuple[Tensor, ...]:
    """States [B, T, D] after the attention; of a mask [B, T], 0 is a token that sees its window."""
    if output_attentions:
        asked = (attention_mask, is_index_masked, is_index_global_attn, is_global_attn, True)
        found: tuple[Tensor, ...] = type(self).forward(self, hidden_states, *asked)
        return found
    least, window = torch.finfo(hidden_states.dtype).min, self.one_sided_attn_window_size

    def heads(layer: nn.Module, states: Tensor) -> Tensor:
        split: Tensor = layer(states).unflatten(-1, (self.num_heads, self.head_dim))
        return split

    def shares(scores: Tensor) -> Tensor:
        return scores.softmax(-1, dtype=torch.float32)

    def of_each(x: Tensor) -> Tensor:
        return x.transpose(1, 2)  # products and no einsum: ONNX Runtime dies of one over 0 tokens

    query = heads(self.query, hidden_states) / math.sqrt(self.head_dim)
    key, value = heads(self.key, hidden_states), heads(self.value, hidden_states)
    barred = (attention_mask != 0)[:, :, None, None]
    outside = barred.to(query.dtype).masked_fill(barred, least)
    ones = torch.ones_like(outside)
    near = self._sliding_chunks_query_key_matmul(query, key, window)
    near = near + self._sliding_chunks_query_key_matmul(ones, outside, window)
    places, real = _to_the_front(is_index_global_attn)
    index = places[:, :, None].expand(-1, -1, self.embed_dim)
    of_head = places[:, :, None, None].expand(-1, -1, self.num_heads, self.head_dim)
    far = of_each(of_each(query) @ key.gather(1, of_head).permute(0, 2, 3, 1))
    far = far.masked_fill(~real[:, None, None, :], least)
    weights = shares(torch.cat((far, near), -1)).masked_fill(is_index_masked[:, :, None, None], 0.0)
    weights = weights.to(query.dtype)
    to_global, to_window = weights.split((far.shape[-1], near.shape[-1]), -1)
    seen = of_each(of_each(to_global) @ of_each(value.gather(1, of_head)))
    seen = seen + self._sliding_chunks_matmul_attn_probs_value(to_window, value, window)

    asking = heads(self.query_global, hidden_states.gather(1, index)) / math.sqrt(self.head_dim)
    scores = of_each(asking) @ heads(self.key_global, hidden_states).permute(0, 2, 3, 1)
    whole = shares(scores.masked_fill(is_index_masked[:, None, None, :], least)).to(query.dtype)
    seeing = of_each(whole @ of_each(heads(self.value_global, hidden_states)))
    own = seen.flatten(2)
    told = torch.where(real[:, :, None], seeing.flatten(2), own.gather(1, index))
    return (own.scatter(1, index, told),)


def _to_the_front(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Of a mask [B, T]: the places that are set in each row, and which of these are not padding.

    Both [B, G]: G is the count of the row that has the most. Places in a row are all different.
    """
    length = chosen.shape[1]
    most: Any = chosen.sum(1).max().item()  # a number of Python would fix it
    torch._check(most >= 0)
    torch._check(most <= length)
    places = torch.arange(length, device=chosen.device).expand_as(chosen)
    first = torch.where(chosen, places, places + length).sort(1).values[:, :most]
    return first % length, first < length


def _padded(self: Any, pad_token_id: int, **texts: Tensor | None) -> tuple[Any, ...]:
    """How much was added, and each of the texts [B, T, ...] as whole windows; None stays None."""
    window = self.config.attention_window
    window = window if isinstance(window, int) else max(window)
    length = next(text.shape[1] for text in texts.values() if text is not None)
    count: Any = torch.scalar_tensor((length + window - 1) // window, dtype=torch.int64).item()
    whole = count * window
    added = whole - length
    torch._check(count >= 1)
    torch._check(added >= 0)
    fillers = {"input_ids": pad_token_id, "position_ids": pad_token_id}
    found: list[Tensor | None] = []
    for name, text in texts.items():
        if text is None:
            found.append(None)
            continue
        more = whole - text.shape[1]  # the same for all, which torch.export does not know
        if name == "inputs_embeds":
            embed = self.embed_tokens if hasattr(self, "embed_tokens") else self.embeddings
            filler = embed(torch.full((1, 1), pad_token_id, device=text.device))
            inside = torch.arange(whole, device=text.device)[:, None] < length
            found.append(torch.where(inside, functional.pad(text, (0, 0, 0, more)), filler))
        else:
            found.append(functional.pad(text, (0, more), value=fillers.get(name, 0)))
    return added, *found


def _encoder(self: Any, *given: Any, **named: Any) -> Any:
    """LED takes off in a branch what was added: it is told of nothing, and it comes off here."""
    text = given[0] if given else named.get("input_ids")
    length = (named["inputs_embeds"] if text is None else text).shape[1]

    def padded(**asked: Any) -> tuple[Any, ...]:
        return 0, *_padded(self, **asked)[1:]

    with mock.patch.object(self, _PAD, padded):
        found = type(self).forward(self, *given, **named)
    if isinstance(found, tuple):
        return found[0][:, :length], *found[1:]
    found["last_hidden_state"] = found["last_hidden_state"][:, :length]
    if states := found.get("hidden_states"):
        found["hidden_states"] = tuple(state[:, :length] for state in states)
    return found


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    windowed = [m for m in model.modules() if hasattr(m, "_chunk") and hasattr(m, "config")]
    with ExitStack() as stack:
        for config in {id(m.config): m.config for m in windowed}.values():
            stack.enter_context(mock.patch.object(config, _SETTING, True, create=True))
        if windowed:
            stack.enter_context(replacing({torch.div: _div}))
        for module in model.modules():
            if hasattr(module, "_get_global_attn_indices"):
                stack.enter_context(forwarding(module, _attention))
            elif type(module).__name__ == "LEDEncoder":
                stack.enter_context(forwarding(module, _encoder))
            elif hasattr(module, _PAD):
                stack.enter_context(mock.patch.object(module, _PAD, partial(_padded, module)))
        yield


FAMILY = Family("windows", tracing=_tracing)
