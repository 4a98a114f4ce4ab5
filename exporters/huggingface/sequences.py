"""Models of transformers that write, as sequence models of this project (`toolkit.sequence`).

The state of a decoder is its cache (`caches`): `past.N.key` and `past.N.value` of a layer that
attends, [batch, heads, past, width], states of a fixed size of one that recurs, and the mask of
what came before. Each layer keeps its whole past, a layer with a sliding window too: the model's
own mask leaves out what the window does not reach. The encoder's graph also computes keys and
values of the cross-attention, so that no step computes them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from exporters.huggingface import multimodal
from exporters.huggingface.caches import ATTENTION, State, attends, held, layout, specs
from exporters.huggingface.decoders import CACHES, CrossDecoder, Decoder, Encoder, carries, reader
from exporters.huggingface.graph import Graph
from exporters.huggingface.readings import Ranges, positions, text_config, vocabulary
from toolkit import examples
from toolkit.domain import Choices, Interval
from toolkit.model import to_tensor
from toolkit.sequence import DECODER, ENCODER, IDS, LOGITS, MASK, PAST, PRESENT, Generation
from toolkit.signature import Dim, Signature, TensorSpec

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


def sequence(model: nn.Module, whole: Signature, ranges: Ranges) -> Writer | None:
    """The model as one that writes, or None where it does not or has another state than these."""
    if not getattr(model, "can_generate", bool)():
        return None
    state = _observed(model, whole)
    if state is None:
        return None
    past, cross = state
    generation, kinds = _generation(model, ranges), layout(past)
    words = reader(model, kinds)
    if cross:
        parts = _with_encoder(model, whole, ranges, past, cross)
    elif words.attends and (read := multimodal.media(model, words, past, ranges)):
        parts = _with_media(words, ranges, past, read)
        generation = replace(generation, placeholder=read.token, at_once=read.at_once)
    else:
        decoder = Decoder(model, kinds)
        if set(kinds) != {ATTENTION} and not carries(decoder, past):
            return None
        parts = {DECODER: (decoder, _decoder(model, ranges, past))}
    return Writer(model, [s.name for s in whole.inputs], parts, generation)


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
        cache = next(c for n in CACHES if (c := getattr(found, n, None)) is not None)
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
