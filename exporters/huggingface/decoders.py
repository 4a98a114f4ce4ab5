"""The graphs that a model of transformers which writes is run as: decoders that take a state and
return the next, and the encoder whose keys and values one of them reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from exporters.huggingface.caches import (
    ATTENTION,
    Layout,
    State,
    attends,
    cache_of,
    empty,
    held,
    named,
    shaped,
)
from exporters.huggingface.graph import aside, parameters
from exporters.huggingface.readings import text_config, vocabulary
from toolkit.sequence import LOGITS, MASK, PRESENT

CACHES = ("past_key_values", "cache_params")
"""Under which names models take and return their cache."""
_CARRIED = 0.02
"""Of what a lost state makes of the scores: rounding is far less, another state is as much."""


class Decoder(nn.Module):
    """New tokens and the state after the old ones to scores of the next and the state after both.

    ids [batch, tokens]; mask [batch, tokens], 0 where a row is padded on the left; past_mask
    [batch, past]; past: the state of each layer (`caches`). A padded token stands at position 0, as
    in transformers' own generate. Where `words` says so, embeddings [batch, tokens, width] for ids.
    Where no layer attends, nothing needs past_mask, and it is left out.
    """

    def __init__(self, model: nn.Module, kinds: Layout, words: str = "input_ids") -> None:
        super().__init__()
        self.model = model
        self._kinds, self._words = kinds, words
        self.attends = attends(kinds)
        taken = parameters(model)
        self._cache = next((n for n in CACHES if n in taken), CACHES[0])
        self._places = "position_ids" in taken

    def forward(self, ids: Tensor, mask: Tensor, *past: Tensor) -> dict[str, Tensor]:
        if not self.attends:
            return self.step(ids, mask, past)
        past_mask, *others = past
        return self.step(ids, torch.cat((past_mask, mask), dim=1), others)

    def step(
        self,
        words: Tensor,
        seen: Tensor,
        past: Sequence[Tensor],
        places: Tensor | None = None,
        masks: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """`seen`: the mask of all until now [batch, past + tokens]; `places`: the positions of all
        [..., batch, past + tokens], where they are not one after another; `masks`: of each type of
        layer, where they are not made of `seen`."""
        cache = cache_of(shaped(self._kinds, past))
        given = {"attention_mask": masks or seen, self._cache: cache, "use_cache": True}
        if self._places:
            every = (seen.cumsum(1) - 1).clamp(min=0) if places is None else places
            given["position_ids"] = every[..., seen.shape[1] - words.shape[1] :]
        with _every_padding_masked(self.model):
            scores = self.scores(words, **given)
        mask = {f"{PRESENT}{MASK}": seen} if self.attends else {}
        return {LOGITS: scores, **mask, **named(PRESENT, held(cache))}

    def scores(self, words: Tensor, **given: Any) -> Tensor:
        found: Tensor = self.model(**{self._words: words}, **given).logits
        return found


class DeepDecoder(Decoder):
    """Of embeddings [batch, tokens, width * (1 + layers)]: what is beside the first is added to the
    outputs of the first layers (DeepStack, Qwen3-VL)."""

    def __init__(self, model: nn.Module, kinds: Layout) -> None:
        super().__init__(model, kinds, "inputs_embeds")

    def scores(self, words: Tensor, **given: Any) -> Tensor:
        model: Any = self.model
        first, *deeper = words.split(text_config(model).hidden_size, dim=-1)
        everywhere = torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
        told = {"visual_pos_masks": everywhere, "deepstack_visual_embeds": deeper}
        with _added_everywhere(model.model.language_model) as reader:
            found = reader(inputs_embeds=first, **told, **given).last_hidden_state
        scores: Tensor = model.lm_head(found)
        return scores


@contextmanager
def _added_everywhere(reader: Any) -> Iterator[Any]:
    """Its own addition looks for the places of pictures, and its shapes depend on their number."""
    reader._deepstack_process = lambda hidden, places, features: hidden + features
    try:
        yield reader
    finally:
        del reader._deepstack_process


def reader(model: nn.Module, kinds: Layout) -> Decoder:
    """A decoder of embeddings."""
    inner = getattr(getattr(model, "model", None), "language_model", None)
    if hasattr(inner, "_deepstack_process"):
        return DeepDecoder(model, kinds)
    return Decoder(model, kinds, "inputs_embeds")


@contextmanager
def _every_padding_masked(model: nn.Module) -> Iterator[None]:
    """The library takes a run of one token for one that is not padded, and a graph has no run of
    one token: recurrences would see a padded one here and not there."""
    module = sys.modules[type(model).__module__]
    name = "create_recurrent_attention_mask"
    if not hasattr(module, name):
        yield
        return

    def local(*, inputs_embeds: Tensor, attention_mask: Tensor, **_: Any) -> Tensor:
        return attention_mask[:, attention_mask.shape[1] - inputs_embeds.shape[1] :]

    with mock.patch.object(module, name, local):
        yield


def carries(decoder: Decoder, past: State) -> bool:
    """Does a text in parts, with the state carried, give the scores of the whole text? Not where a
    model begins anew in each run of several tokens (Mamba's recurrence, not its convolution).

    How much a state matters depends on the weights, and random ones make little of it. So what the
    scores are off is held against what each kind of state, when it is lost, makes of them.
    """
    words = np.random.default_rng(0).integers(0, vocabulary(decoder.model), (2, 7))
    ids = torch.from_numpy(words)
    ones, state = torch.ones_like(ids), empty(past, 2)
    kinds = [kind for layer in past for kind in layer]

    def run(part: slice, state: Sequence[Tensor]) -> dict[str, Tensor]:
        mask = (ones[:, : part.start],) if decoder.attends else ()
        found: dict[str, Tensor] = decoder(ids[:, part], ones[:, part], *mask, *state)
        return found

    try:
        with torch.no_grad():
            whole = aside(decoder.model)(input_ids=ids, attention_mask=ones).logits
            parts = []
            for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
                before, found = state, run(part, state)
                state = [found[name] for name in named(PRESENT, past)]
                parts.append(found[LOGITS])
            lost = []
            for kind in {*kinds} - {*ATTENTION}:
                pairs = zip(kinds, before, strict=True)
                without = [torch.zeros_like(t) if k == kind else t for k, t in pairs]
                lost.append((run(part, without)[LOGITS] - parts[-1]).abs().max())
    except Exception:  # what a model says to a state that it does not take has no common type
        return False
    off = (torch.cat(parts, dim=1) - whole).abs().max()
    return all(bool(off <= _CARRIED * matters) for matters in lost)


class Encoder(nn.Module):
    """The encoder's inputs to `cross.N.key` and `cross.N.value` for each layer of the decoder."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self._names = tuple(names)

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        # Only the decoder knows how to make keys of the encoder's output. It reads one token, of
        # which nothing is used: the graph is left without it.
        start = torch.zeros(tensors[0].shape[0], 1, dtype=torch.int64, device=tensors[0].device)
        given = dict(zip(self._names, tensors, strict=True))
        found = self.model(**given, decoder_input_ids=start, use_cache=True)
        return named("cross.", held(found.past_key_values.cross_attention_cache))


class CrossDecoder(nn.Module):
    """As `Decoder`, with the encoder's mask where it has one, and its keys and values first."""

    def __init__(self, model: nn.Module, masked: bool) -> None:
        super().__init__()
        self.model = model
        self._masked = masked

    def forward(self, ids: Tensor, *tensors: Tensor) -> dict[str, Tensor]:
        from transformers.cache_utils import EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        given = {"attention_mask": tensors[0]} if self._masked else {}
        flat = tensors[1:] if self._masked else tensors
        layers = shaped((ATTENTION,) * (len(flat) // 2), flat)
        cross, past = layers[: len(layers) // 2], layers[len(layers) // 2 :]
        cache = EncoderDecoderCache(cache_of(past), cache_of(cross))
        cache.is_updated = dict.fromkeys(range(len(cross)), True)
        # Looked at for its shape only: the keys and values that were made of it are in the cache.
        width = text_config(self.model).hidden_size
        memory = cross[0]["key"].new_zeros(ids.shape[0], cross[0]["key"].shape[2], width)
        found = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory),
            decoder_input_ids=ids,
            past_key_values=cache,
            use_cache=True,
            **given,
        )
        return {LOGITS: found.logits, **named(PRESENT, held(cache.self_attention_cache))}
