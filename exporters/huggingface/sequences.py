"""Models of transformers that write, as sequence models of this project (`toolkit.sequence`).

The state of a decoder is its cache (`caches`): `past.N.key` and `past.N.value` of a layer that
attends, [batch, heads, past, width], states of a fixed size of one that recurs, and the mask of
what came before. Each layer keeps its whole past, a layer with a sliding window too: the model's
own mask leaves out what the window does not reach. The encoder's graph also computes keys and
values of the cross-attention, so that no step computes them again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from exporters.huggingface import multimodal
from exporters.huggingface.caches import (
    ATTENTION,
    Layout,
    State,
    attends,
    cache_of,
    empty,
    held,
    layout,
    named,
    shaped,
    specs,
)
from exporters.huggingface.graph import Graph, aside, parameters
from exporters.huggingface.readings import Ranges, positions, text_config, vocabulary
from toolkit import examples
from toolkit.domain import Choices, Interval
from toolkit.model import to_tensor
from toolkit.sequence import DECODER, ENCODER, IDS, LOGITS, MASK, PAST, PRESENT, Generation
from toolkit.signature import Dim, Signature, TensorSpec

_CACHES = ("past_key_values", "cache_params")
_CARRIED = 0.02
"""Of what a lost state makes of the scores: rounding is far less, another state is as much."""
_STATE = 1024
"""The longest state that is promised, where the model has no shorter limit: cases are checked."""


class Writer(Graph):
    """The whole model as one graph (for training), and the parts that it is run as."""

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        parts: dict[str, tuple[nn.Module, Signature]],
        generation: Generation,
    ) -> None:
        super().__init__(model, names)
        self.generation = generation
        self.parts = {name: signature for name, (_, signature) in parts.items()}
        for name, (module, _) in parts.items():
            self.add_module(name, module.eval())


class Decoder(nn.Module):
    """New tokens and the state after the old ones to scores of the next and the state after both.

    ids [batch, tokens]; mask [batch, tokens], 0 where a row is padded on the left; past_mask
    [batch, past]; past: key and value of each layer. A padded token stands at position 0, as in
    transformers' own generate. Where `words` says so, embeddings [batch, tokens, width] for ids.
    Where no layer attends, nothing needs past_mask, and it is left out.
    """

    def __init__(self, model: nn.Module, kinds: Layout, words: str = "input_ids") -> None:
        super().__init__()
        self.model = model
        self._kinds, self._words = kinds, words
        self.attends = attends(kinds)
        taken = parameters(model)
        self._cache = next((n for n in _CACHES if n in taken), _CACHES[0])
        self._places = "position_ids" in parameters(model)

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


def _reader(model: nn.Module, kinds: Layout) -> Decoder:
    """A decoder of embeddings."""
    inner = getattr(getattr(model, "model", None), "language_model", None)
    if hasattr(inner, "_deepstack_process"):
        return DeepDecoder(model, kinds)
    return Decoder(model, kinds, "inputs_embeds")


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


def sequence(model: nn.Module, whole: Signature, ranges: Ranges) -> Writer | None:
    """The model as one that writes, or None where it does not or has another state than these."""
    if not getattr(model, "can_generate", bool)():
        return None
    state = _observed(model, whole)
    if state is None:
        return None
    past, cross = state
    generation, kinds = _generation(model, ranges), layout(past)
    words = _reader(model, kinds)
    if cross:
        parts = _with_encoder(model, whole, ranges, past, cross)
    elif words.attends and (read := multimodal.media(model, words, past, ranges)):
        parts = _with_media(words, ranges, past, read)
        generation = replace(generation, placeholder=read.token, at_once=read.at_once)
    else:
        decoder = Decoder(model, kinds)
        if set(kinds) != {ATTENTION} and not _carries(decoder, past):
            return None
        parts = {DECODER: (decoder, _decoder(model, ranges, past))}
    return Writer(model, [s.name for s in whole.inputs], parts, generation)


def _carries(decoder: Decoder, past: State) -> bool:
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


def remarks(model: nn.Module) -> tuple[str, ...]:
    """What transformers' generate does beside the search, and `onnxport generate` does not."""
    config: Any = getattr(model, "generation_config", None)
    names = (
        *("forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "no_repeat_ngram_size"),
        *("begin_suppress_tokens", "forced_decoder_ids", "repetition_penalty", "bad_words_ids"),
    )
    used = [n for n in names if getattr(config, n, None) not in (None, 0, 1.0, [])]
    said = [f"its generation_config sets {n}: generate does not apply it" for n in used]
    ends = getattr(config, "eos_token_id", None)
    if isinstance(ends, list) and len(ends) > 1:
        said.append(f"of its tokens that end a text, {ends}, generate knows the first")
    return tuple(said)


def _observed(model: nn.Module, whole: Signature) -> tuple[State, State] | None:
    """Keys and values of one row after a few tokens: of each layer, and of its cross-attention."""
    sizes = {d.name: d.low for d in whole.dims}
    rows = examples.feeds(whole, sizes, "uniform", np.random.default_rng(0))
    given = {s.name: to_tensor(rows[s.name], s.dtype) for s in whole.inputs}
    if {"input_ids", "attention_mask"} <= set(given):
        given["attention_mask"] = torch.ones_like(given["attention_mask"])
    try:
        with torch.no_grad():
            found = model(**given, use_cache=True)
        cache = next(c for n in _CACHES if (c := getattr(found, n, None)) is not None)
        if hasattr(cache, "cross_attention_cache"):
            past, cross = cache.self_attention_cache, cache.cross_attention_cache
            return held(past), held(cross)
        if "decoder_input_ids" in given or "input_ids" not in given:
            return None
        return held(cache), []
    except (AttributeError, StopIteration, TypeError, ValueError):  # none, or of another kind
        return None


def _decoder(model: nn.Module, ranges: Ranges, past: State, beside: int = 0) -> Signature:
    words, dims = _words(model, ranges, beside)
    bit = Choices((0, 1))
    given = (
        TensorSpec(IDS, "int64", ("batch", "tokens"), words),
        TensorSpec(MASK, "int64", ("batch", "tokens"), bit),
    )
    scores = TensorSpec(LOGITS, "float32", ("batch", "tokens", _width(model)))
    before, after = specs(PAST, past, "past"), specs(PRESENT, past, "so_far")
    if not attends(layout(past)):
        dims = tuple(d for d in dims if d.name != "past")
        return Signature((*given, *before), dims, (scores, *after))
    seen = TensorSpec(f"{PAST}{MASK}", "int64", ("batch", "past"), bit)
    now = TensorSpec(f"{PRESENT}{MASK}", "int64", ("batch", "so_far"))
    return Signature((*given, seen, *before), dims, (scores, now, *after))


def _with_media(
    words: Decoder, ranges: Ranges, past: State, read: multimodal.Media
) -> dict[str, tuple[nn.Module, Signature]]:
    most = replace(ranges, tokens=ranges.tokens + (read.length.high if read.at_once else 0))
    alone = _decoder(words.model, most, past, beside=read.length.high)
    (ids, mask, past_mask, *pairs), (logits, seen, *now) = alone.inputs, alone.outputs
    decoder = Signature(
        (ids, mask, *read.inputs, past_mask, multimodal.state(PAST, "past"), *pairs),
        (*alone.dims, read.length),
        (logits, seen, *now, multimodal.state(PRESENT, "so_far")),
    )
    return {
        ENCODER: (read.encoder, read.signature),
        DECODER: (read.decoder, decoder),
    }


def _with_encoder(
    model: nn.Module, whole: Signature, ranges: Ranges, past: State, cross: State
) -> dict[str, tuple[nn.Module, Signature]]:
    inputs = tuple(s for s in whole.inputs if s.name != "decoder_input_ids")
    used = {n for s in inputs for n in s.shape}
    tokens = [d for d in whole.dims if d.name == "tokens" and d.name in used]
    length: int | str = cross[0]["key"].shape[2]
    mask = [s for s in inputs if s.name == "attention_mask"]
    renamed: tuple[TensorSpec, ...] = inputs
    if tokens:  # in the decoder `tokens` are its own
        length = "length"
        renamed = tuple(_in_dim(s, "tokens", "length") for s in inputs)
        mask = [_in_dim(s, "tokens", "length") for s in mask]
    sizes = tuple(
        Dim("length", d.sizes) if d.name == "tokens" else d for d in whole.dims if d.name in used
    )
    words, dims = _words(model, ranges)
    encoder = Signature(renamed, sizes, tuple(specs("cross.", cross, length)))
    decoder = Signature(
        (
            TensorSpec(IDS, "int64", ("batch", "tokens"), words),
            *mask,
            *specs("cross.", cross, length),
            *specs(PAST, past, "past"),
        ),
        (*(d for d in sizes if d.name == "length"), *dims),
        (
            TensorSpec(LOGITS, "float32", ("batch", "tokens", _width(model))),
            *specs(PRESENT, past, "so_far"),
        ),
    )
    return {
        ENCODER: (Encoder(model, [s.name for s in inputs]), encoder),
        DECODER: (CrossDecoder(model, bool(mask)), decoder),
    }


def _in_dim(spec: TensorSpec, old: str, new: str) -> TensorSpec:
    shape = tuple(new if n == old else n for n in spec.shape)
    return TensorSpec(spec.name, spec.dtype, shape, spec.values)


def _words(model: nn.Module, ranges: Ranges, beside: int = 0) -> tuple[Interval, tuple[Dim, ...]]:
    """The tokens that a step takes, and how many of them after how many: within the positions.
    `beside`: places that a prompt has beside its words."""
    most = _STATE + beside
    reach = min(positions(text_config(model)) or most, most)
    tokens = min(ranges.tokens, reach // 2)
    dims = (
        Dim("batch", Interval(1, ranges.batch)),
        Dim("tokens", Interval(1, tokens)),
        Dim("past", Interval(0, reach - tokens)),
    )
    return Interval(0, vocabulary(model) - 1), dims


def _generation(model: nn.Module, ranges: Ranges) -> Generation:
    config: Any = getattr(model, "generation_config", None)
    place = text_config(model)

    def token(*names: str) -> int | None:
        for name in names:
            for source in (config, place, model.config):
                value = getattr(source, name, None)
                value = value[0] if isinstance(value, list) and value else value
                if isinstance(value, int) and 0 <= value < vocabulary(model):
                    return value
        return None

    end = token("eos_token_id", "pad_token_id") or 0
    start = token("decoder_start_token_id", "bos_token_id")
    reach = _words(model, ranges)[1][2].high
    return Generation(end if start is None else start, end, most=min(reach, 256))


def _width(model: nn.Module) -> int:
    """How many tokens are scored: it may be more than there are (Marian), or fewer."""
    head: Any = cast("Any", model).get_output_embeddings()
    return int(getattr(head, "out_features", 0) or vocabulary(model))
