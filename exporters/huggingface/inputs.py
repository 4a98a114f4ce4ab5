"""The signature of a transformers model, from its config: what each named input looks like.

A table from the names that transformers gives to inputs; what a model takes of them is read off its
`forward`. Where a config leaves it open (may the image be of any size?), the widest reading that
the model itself runs at is taken: it is tried at an example, at the low and at the high end.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from exporters.huggingface.graph import Graph, parameters
from toolkit import examples
from toolkit.domain import Choices, Interval
from toolkit.errors import InputError
from toolkit.model import first_line, to_tensor
from toolkit.signature import Dim, Signature, TensorSpec
from toolkit.structure import flatten

_BIT = Choices((0, 1))
_POSITIONS = (
    *("max_position_embeddings", "n_positions", "max_target_positions", "max_seq_len", "n_ctx"),
)


@dataclass(frozen=True)
class Ranges:
    """How far dimensions go that a config does not bound, or bounds beyond what can be checked."""

    batch: int = 8
    tokens: int = 128
    image: int = 224
    samples: int = 16000


DEFAULT = Ranges()


@dataclass(frozen=True)
class Input:
    """One way to read one input: its tensor, and the dimensions that it is the first to name."""

    spec: TensorSpec
    dims: tuple[Dim, ...] = ()


def signature(model: nn.Module, ranges: Ranges = DEFAULT) -> Signature:
    """The widest signature of the candidates that the model runs at. Raises InputError with what
    the model said to the first one where it runs at none."""
    said = ""
    for candidate in candidates(model, ranges):
        refused = refusal(model, candidate)
        if not refused:
            return candidate
        said = said or refused
    name = type(model).__name__
    if not said:
        takes = ", ".join(parameters(model)[:6])
        raise InputError(f"{name} takes no input that is known here", f"it takes {takes}")
    raise InputError(f"{name} runs at no signature that its config suggests: {said}")


def refusal(model: nn.Module, signature: Signature) -> str:
    """What the model says to a signature at an example and at its ends; empty where it runs."""
    graph = Graph(_aside(model), [s.name for s in signature.inputs])
    example = examples.example_sizes(signature)
    ends = ({d.name: d.low for d in signature.dims}, {d.name: d.legal[-1] for d in signature.dims})
    for sizes in (example, *ends):
        if signature.batch and sizes is not example:  # the ends of the batch itself need no trial
            sizes[signature.batch] = signature.dim(signature.batch).snap(2)
        feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
        tensors = [to_tensor(feeds[s.name], s.dtype) for s in signature.inputs]
        try:
            with torch.no_grad():
                if not flatten(graph(*tensors)):
                    return "it returns no tensor"
        except Exception as error:
            return f"{type(error).__name__}: {first_line(error)}"
    return ""


def _aside(model: nn.Module) -> nn.Module:
    """A copy that shares all tensors: Swin changes itself, even at a size that it then refuses."""
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def candidates(model: nn.Module, ranges: Ranges) -> Iterator[Signature]:
    """Signatures of the model's inputs, the widest first."""
    taken = parameters(model)
    readings = {n: list(read(model, ranges)) for n, read in _READINGS.items() if n in taken}
    seen: list[Signature] = []
    for names in _choices(model, [n for n in readings if readings[n]]):
        if not names or (
            {"attention_mask", "token_type_ids"} & {*names} and "input_ids" not in names
        ):
            continue
        for ways in product(*(readings[n] for n in names)):
            dims = {"batch": Dim("batch", Interval(1, ranges.batch))}
            for dim in (d for way in ways for d in way.dims):
                dims.setdefault(dim.name, dim)
            found = Signature(tuple(w.spec for w in ways), tuple(dims.values()))
            if found not in seen:
                seen.append(found)
                yield found


def _choices(model: nn.Module, known: Sequence[str]) -> Iterator[list[str]]:
    """Which of the inputs that a model takes it is given: all of them, or one kind of them."""
    texts = [n for n in known if n in _TEXT]
    main = getattr(model, "main_input_name", "")
    first = [main] if main in known else []
    others = [n for n in known if n not in _TEXT]
    if texts:
        yield [*texts, *others] if _contrastive(model) else texts
    yield list(known)
    for name in (*first, *others):
        yield [name]
        if "decoder_input_ids" in known:
            yield [name, "decoder_input_ids"]
    if texts:
        yield texts
        yield [n for n in texts if n != "attention_mask"]
        yield texts[:1]


def _contrastive(model: nn.Module) -> bool:
    """Does it compare texts with something else (CLIP), and so needs both?"""
    return "return_loss" in parameters(model)


def text_config(model: nn.Module) -> Any:
    return cast("Any", model).config.get_text_config()


def vocabulary(model: nn.Module) -> int:
    """How many tokens there are to look up."""
    size = int(getattr(text_config(model), "vocab_size", 0) or 0)
    try:
        table = getattr(cast("Any", model).get_input_embeddings(), "num_embeddings", 0)
    except (NotImplementedError, AttributeError):  # of a model without words
        table = 0
    return min(filter(None, (size, table)), default=0)


def positions(config: Any) -> int | None:
    """The longest sequence that a text config allows, where it says so."""
    found = (getattr(config, name, None) for name in _POSITIONS)
    return next((n for n in found if isinstance(n, int) and n > 0), None)


def _ids(model: nn.Module, ranges: Ranges, name: str, dim: str) -> Iterator[Input]:
    words = vocabulary(model)
    if not words:
        return
    longest = min(ranges.tokens, positions(text_config(model)) or ranges.tokens)
    for tokens in (longest, longest // 2):
        spec = TensorSpec(name, "int64", ("batch", dim), Interval(0, words - 1))
        yield Input(spec, (Dim(dim, Interval(2, max(tokens, 3))),))


def _input_ids(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    yield from _ids(model, ranges, "input_ids", "tokens")


def _decoder_input_ids(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    yield from _ids(model, ranges, "decoder_input_ids", "target")


def _attention_mask(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    if "input_ids" in parameters(model) and vocabulary(model):
        yield Input(TensorSpec("attention_mask", "int64", ("batch", "tokens"), _BIT))


def _token_type_ids(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    types = int(getattr(text_config(model), "type_vocab_size", 0) or 0)
    if types > 1:
        kinds = Interval(0, types - 1)
        yield Input(TensorSpec("token_type_ids", "int64", ("batch", "tokens"), kinds))


def _pixel_values(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """Normalized pixels (ImageNet's reach from -2.1 to 2.6), of any size where the model allows."""
    config = _part(model.config, "vision_config", "backbone_config", "encoder", "image_config")
    channels = int(_first(config, model.config, ("num_channels", "in_channels", "in_chans"), 3))
    height, width = _pair(_first(config, model.config, ("image_size", "img_size"), ranges.image))
    values = Interval(-3.0, 3.0)
    step, low = 32, 64
    if min(height, width) >= low:
        sides = tuple(
            Dim(name, Interval(low, max(size - size % step, 2 * low), step))
            for name, size in (("height", height), ("width", width))
        )
        shape: tuple[int | str, ...] = ("batch", channels, "height", "width")
        yield Input(TensorSpec("pixel_values", "float32", shape, values), sides)
    yield Input(TensorSpec("pixel_values", "float32", ("batch", channels, height, width), values))
    frames = _first(config, model.config, ("num_frames", "frames_per_clip"), 0)
    if frames:
        video = ("batch", int(frames), channels, height, width)
        yield Input(TensorSpec("pixel_values", "float32", video, values))


def _input_values(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """A waveform of at least four frames, or the spectrogram of a fixed length."""
    config, values = model.config, Interval(-1.0, 1.0)
    bins, length = (getattr(config, n, None) for n in ("num_mel_bins", "max_length"))
    if isinstance(bins, int) and isinstance(length, int):
        yield Input(TensorSpec("input_values", "float32", ("batch", length, bins), values))
    channels = getattr(config, "audio_channels", None)
    shape = ("batch", channels, "samples") if isinstance(channels, int) else ("batch", "samples")
    least = _receptive(config, 4)
    dim = Dim("samples", Interval(least, max(ranges.samples, 4 * least)))
    yield Input(TensorSpec("input_values", "float32", shape, values), (dim,))
    if len(shape) == 3:
        yield Input(TensorSpec("input_values", "float32", ("batch", "samples"), values), (dim,))


def _receptive(config: Any, frames: int) -> int:
    """Samples that a stack of convolutions turns into so many frames."""
    kernels, strides = getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ())
    if (
        not kernels
        or not isinstance(kernels, (tuple, list))
        or not isinstance(strides, (tuple, list))
    ):
        ratios = getattr(config, "upsampling_ratios", None) or getattr(config, "strides", None)
        return frames * prod(ratios) if ratios else 400
    samples = frames
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _input_features(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """Log-mel spectrograms: of a fixed length (Whisper), or frames first and of any length."""
    config = _part(model.config, "audio_config", "encoder_config", "speech_config")
    names = ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "input_dim")
    bins = int(_first(config, model.config, names, 80))
    length = getattr(config, "max_source_positions", None)
    values = Interval(-4.0, 4.0)
    if isinstance(length, int):
        fixed = ("batch", bins, 2 * length)
        yield Input(TensorSpec("input_features", "float32", fixed, values))
    frames = (Dim("frames", Interval(16, max(2 * ranges.tokens, 32))),)
    for shape in (("batch", "frames", bins), ("batch", bins, "frames")):
        yield Input(TensorSpec("input_features", "float32", shape, values), frames)


def _pixel_values_videos(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    config = model.config
    height, width = _pair(_first(config, config, ("image_size", "crop_size"), ranges.image))
    frames = int(_first(config, config, ("num_frames", "frames_per_clip"), 4))
    shape = ("batch", frames, int(getattr(config, "in_chans", 3)), height, width)
    yield Input(TensorSpec("pixel_values_videos", "float32", shape, Interval(-3.0, 3.0)))


def _past_values(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    config = model.config
    length = getattr(config, "context_length", None)
    if isinstance(length, int):
        channels = int(getattr(config, "num_input_channels", 1) or 1)
        yield Input(TensorSpec("past_values", "float32", ("batch", length, channels)))
        yield Input(TensorSpec("past_values", "float32", ("batch", length)))


_TEXT = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")
_READINGS = {
    "input_ids": _input_ids,
    "pixel_values": _pixel_values,
    "pixel_values_videos": _pixel_values_videos,
    "input_values": _input_values,
    "input_features": _input_features,
    "past_values": _past_values,
    "attention_mask": _attention_mask,
    "token_type_ids": _token_type_ids,
    "decoder_input_ids": _decoder_input_ids,
}
"""Name of an input: the ways to read it, the widest first."""


def _part(config: Any, *names: str) -> Any:
    """The config of one side of a model that has several, else the whole."""
    parts = (getattr(config, name, None) for name in names)
    return next((p for p in parts if hasattr(p, "to_dict")), config)


def _first(config: Any, whole: Any, names: Sequence[str], otherwise: Any) -> Any:
    for place, name in product((config, whole), names):
        if value := getattr(place, name, None):
            return value
    return otherwise


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, (tuple, list)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)
