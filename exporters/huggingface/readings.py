"""What each input of a transformers model looks like, by the name that transformers gives to it.

What a model takes of these is read off its `forward`, sizes and ranges off its config.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, cast

from torch import nn

from exporters.huggingface.graph import parameters
from toolkit.domain import Choices, Interval
from toolkit.signature import Dim, TensorSpec

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
    media: int = 2
    """Pictures or sounds in a text."""


DEFAULT = Ranges()

Reading = Callable[[Any, Ranges], "Iterator[Input]"]
"""The ways to read one input of a model, the widest first."""


@dataclass(frozen=True)
class Input:
    """One way to read one input: its tensor, and the dimensions that it is the first to name."""

    spec: TensorSpec
    dims: tuple[Dim, ...] = ()


def text_config(model: nn.Module) -> Any:
    return cast("Any", model).config.get_text_config()


def vocabulary(model: nn.Module) -> int:
    """How many tokens there are to look up, or code points to hash (Canine)."""
    config = text_config(model)
    if getattr(config, "num_hash_buckets", 0):
        return sys.maxunicode + 1
    size = int(getattr(config, "vocab_size", 0) or 0)
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
    for other in (("batch", "samples"), ("batch", 1, "samples")):
        if other != shape:
            yield Input(TensorSpec("input_values", "float32", other, values), (dim,))


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
    """Log-mel spectrograms: of a fixed length (Whisper), of any length and frames first, or as an
    image of one channel (CLAP)."""
    config = _audio(model)
    names = ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "input_dim")
    bins = int(_first(config, model.config, names, 80))
    values = Interval(-4.0, 4.0)
    if length := _frames(config):
        fixed = ("batch", bins, length)
        yield Input(TensorSpec("input_features", "float32", fixed, values))
    frames = (Dim("frames", Interval(16, max(2 * ranges.tokens, 32))),)
    for shape in (("batch", "frames", bins), ("batch", bins, "frames")):
        yield Input(TensorSpec("input_features", "float32", shape, values), frames)
    if longest := _spectrogram_width(config):
        image = TensorSpec("input_features", "float32", ("batch", 1, "frames", bins), values)
        yield Input(image, (Dim("frames", Interval(16, min(frames[0].high, longest))),))


def _input_features_mask(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """Which frames are no padding."""
    fixed = _frames(_audio(model))
    lengths: list[int | str] = [fixed, "frames"] if fixed else ["frames"]
    for length, dtype in product(lengths, ("int64", "bool")):
        values = None if dtype == "bool" else _BIT
        yield Input(TensorSpec("input_features_mask", dtype, ("batch", length), values))


def _audio(model: nn.Module) -> Any:
    return _part(model.config, "audio_config", "encoder_config", "speech_config")


def _spectrogram_width(config: Any) -> int:
    """Frames of the spectrogram that CLAP folds into a square image; 0 for other models."""
    size, bins = (getattr(config, name, None) for name in ("spec_size", "num_mel_bins"))
    return size * (size // bins) if isinstance(size, int) and bins else 0


def _frames(config: Any) -> int:
    """Of every spectrogram, which the first layers halve; 0 where any length goes."""
    positions = getattr(config, "max_source_positions", None)
    return 2 * positions if isinstance(positions, int) else 0


def _pixel_values_videos(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    config = model.config
    height, width = _pair(_first(config, config, ("image_size", "crop_size"), ranges.image))
    frames = int(_first(config, config, ("num_frames", "frames_per_clip"), 4))
    shape = ("batch", frames, int(getattr(config, "in_chans", 3)), height, width)
    yield Input(TensorSpec("pixel_values_videos", "float32", shape, Interval(-3.0, 3.0)))


def _past_values(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    config = model.config
    length = getattr(config, "context_length", None)
    if getattr(config, "lags_sequence", None):
        yield from _of_series("past_values")(model, ranges)
    elif isinstance(length, int):
        channels = int(getattr(config, "num_input_channels", 1) or 1)
        yield Input(TensorSpec("past_values", "float32", ("batch", length, channels)))
        yield Input(TensorSpec("past_values", "float32", ("batch", length)))


def _of_series(name: str) -> Reading:
    """One of the inputs of a forecast: the past with the longest lag before it, and the future that
    training knows."""

    def reading(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
        config: Any = model.config
        future = getattr(config, "prediction_length", None)
        if not future or not getattr(config, "lags_sequence", None):
            return
        past = int(config.context_length or future) + max(config.lags_sequence)
        shape: tuple[int | str, ...] = ("batch", int(future) if "future" in name else past)
        if name.endswith("features"):
            shape = (*shape, int(config.num_time_features))
        elif (channels := int(getattr(config, "input_size", 1))) > 1:
            shape = (*shape, channels)
        values = _BIT if name.endswith("mask") else None
        yield Input(TensorSpec(name, "float32", shape, values))

    return reading


def _task_inputs(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """The words that name the task (OneFormer)."""
    config: Any = model.config
    length, words = int(config.task_seq_len), int(config.text_encoder_vocab_size)
    yield Input(TensorSpec("task_inputs", "int64", ("batch", length), Interval(0, words - 1)))


def _bbox(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """Of BROS and UDOP, where corners are any numbers; LayoutLM's are ordered, 0 unless given."""
    if getattr(model.config, "dim_bbox", 0) or getattr(model.config, "relative_bias_args", 0):
        yield Input(TensorSpec("bbox", "float32", ("batch", "tokens", 4), Interval(0.0, 1.0)))


def _visual_feats(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    """What a detector saw in its boxes (LXMERT)."""
    config: Any = model.config
    shape = ("batch", "boxes", int(config.visual_feat_dim))
    dim = Dim("boxes", Interval(1, max(ranges.tokens // 2, 1)))
    yield Input(TensorSpec("visual_feats", "float32", shape), (dim,))


def _visual_pos(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
    config: Any = model.config
    shape = ("batch", "boxes", int(config.visual_pos_dim))
    yield Input(TensorSpec("visual_pos", "float32", shape, Interval(0.0, 1.0)))


def _of_episode(name: str) -> Reading:
    """One of the inputs of Decision Transformer, which has three positions for each step."""

    def reading(model: nn.Module, ranges: Ranges) -> Iterator[Input]:
        config: Any = model.config
        widths = {"states": config.state_dim, "actions": config.act_dim}
        longest = min(ranges.tokens, (positions(config) or 3 * ranges.tokens) // 3)
        dims = (Dim("steps", Interval(1, max(longest, 1))),)
        if name == "timesteps":
            values = Interval(0, int(config.max_ep_len) - 1)
            yield Input(TensorSpec(name, "int64", ("batch", "steps"), values), dims)
        else:
            shape = ("batch", "steps", int(widths.get(name, 1)))
            yield Input(TensorSpec(name, "float32", shape), dims)

    return reading


_SERIES = ("past_time_features", "past_observed_mask", "future_values", "future_time_features")
_EPISODE = ("states", "actions", "rewards", "returns_to_go", "timesteps")
TEXT = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")
READINGS: dict[str, Reading] = {
    "input_ids": _input_ids,
    "pixel_values": _pixel_values,
    "pixel_values_videos": _pixel_values_videos,
    "input_values": _input_values,
    "input_features": _input_features,
    "input_features_mask": _input_features_mask,
    "past_values": _past_values,
    "attention_mask": _attention_mask,
    "token_type_ids": _token_type_ids,
    "decoder_input_ids": _decoder_input_ids,
    "bbox": _bbox,
    "task_inputs": _task_inputs,
    "visual_feats": _visual_feats,
    "visual_pos": _visual_pos,
    **{name: _of_episode(name) for name in _EPISODE},
    **{name: _of_series(name) for name in _SERIES},
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
