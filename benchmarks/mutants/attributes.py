"""Mutants whose nodes are told something else: an axis, a padding, a mode."""

from __future__ import annotations

from functools import partial
from typing import Any

from onnx import AttributeProto, helper

from benchmarks.mutants import Generator, Kind, Site, array, store

_AXES = frozenset({"Softmax", "LogSoftmax", "Concat", "Gather", "Split", "Flatten", "ArgMax"})
_NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"})
_WINDOWS = frozenset({"Conv", "MaxPool", "AveragePool", "ConvTranspose"})
_EPSILONS = frozenset(
    {*_NORMS, "BatchNormalization", "InstanceNormalization", "GroupNormalization"}
)
_OTHER_WORDS = {
    "coordinate_transformation_mode": ("half_pixel", "align_corners", "asymmetric"),
    "mode": ("nearest", "linear", "cubic", "constant", "reflect", "edge"),
    "direction": ("forward", "reverse"),
    "nearest_mode": ("floor", "ceil", "round_prefer_floor"),
    "approximate": ("none", "tanh"),
    "reduction": ("none", "add", "mul"),
}
_DEFAULTS: dict[str, Any] = {
    "axis": -1,
    "epsilon": 1e-5,
    "alpha": 1.0,
    "approximate": "none",
    "keepdims": 1,
    "largest": 1,
    "sorted": 1,
    "ceil_mode": 0,
    "count_include_pad": 0,
    "transB": 0,
    "direction": "forward",
    "linear_before_reset": 0,
}


def _value(site: Site, name: str) -> Any:
    for attribute in site.node.attribute:
        if attribute.name == name:
            found = helper.get_attribute_value(attribute)
            return found.decode() if isinstance(found, bytes) else found
    return _DEFAULTS.get(name)


def _set(site: Site, name: str, value: Any) -> bool:
    kept = [a for a in site.node.attribute if a.name != name]
    made: AttributeProto = helper.make_attribute(name, value)
    del site.node.attribute[:]
    site.node.attribute.extend([*kept, made])
    return True


def _axis(site: Site, rng: Generator) -> bool:
    at = int(_value(site, "axis") if _value(site, "axis") is not None else -1)
    return _set(site, "axis", {-1: -2, 0: 1}.get(at, at - 1))


def _norm_axis(site: Site, rng: Generator) -> bool:
    """Over one axis more, where the weights can be broadcast; else it does not load."""
    return _set(site, "axis", int(_value(site, "axis")) - 1)


def _permuted(site: Site, rng: Generator) -> bool:
    order = list(_value(site, "perm") or ())
    if len(order) < 3:
        return False
    one, other = rng.choice(len(order), 2, replace=False)
    order[one], order[other] = order[other], order[one]
    return _set(site, "perm", order)


def _flipped(site: Site, rng: Generator, *, name: str) -> bool:
    return _set(site, name, 1 - int(_value(site, name) or 0))


def _scaled(site: Site, rng: Generator, *, name: str, by: float) -> bool:
    return _set(site, name, float(_value(site, name)) * by)


def _padding(site: Site, rng: Generator) -> bool:
    """One row moved from the beginning to the end: the size stays."""
    pads = list(_value(site, "pads") or ())
    half = len(pads) // 2
    there = [n for n in range(half) if pads[n] > 0]
    if not there:
        return False
    at = int(rng.choice(there))
    pads[at], pads[half + at] = pads[at] - 1, pads[half + at] + 1
    return _set(site, "pads", pads)


def _stride(site: Site, rng: Generator) -> bool:
    strides = list(_value(site, "strides") or ())
    if not strides:
        return False
    strides[int(rng.integers(len(strides)))] += 1
    return _set(site, "strides", strides)


def _dilation(site: Site, rng: Generator) -> bool:
    kernel = list(_value(site, "kernel_shape") or ())
    if not kernel or max(kernel) < 2:
        return False
    return _set(site, "dilations", [2] * len(kernel))


def _other_word(site: Site, rng: Generator, *, name: str) -> bool:
    now = _value(site, name)
    others = [w for w in _OTHER_WORDS[name] if w != now]
    return bool(now) and _set(site, name, str(rng.choice(others)))


def _clipped(site: Site, rng: Generator) -> bool:
    """A bound moved by one part in ten."""
    for name in site.node.input[1:]:
        tensor = site.weight(name) if name else None
        if tensor is not None:
            values = array(tensor)
            return store(tensor, (values * 0.9 + 0.1).astype(values.dtype))
    return False


KINDS = (
    Kind("another axis", _axis, _AXES),
    Kind("a normalization over another axis", _norm_axis, _NORMS),
    Kind("another order of axes", _permuted, frozenset({"Transpose"})),
    Kind("keepdims", partial(_flipped, name="keepdims"), _REDUCTIONS),
    Kind("epsilon ten times", partial(_scaled, name="epsilon", by=10.0), _EPSILONS),
    Kind("epsilon a thousand times", partial(_scaled, name="epsilon", by=1e3), _EPSILONS),
    Kind(
        "alpha",
        partial(_scaled, name="alpha", by=1.1),
        frozenset({"Gemm", "LeakyRelu", "Elu", "Celu", "HardSigmoid"}),
    ),
    Kind("padding at the other side", _padding, _WINDOWS),
    Kind("a stride", _stride, _WINDOWS),
    Kind("a dilation", _dilation, _WINDOWS),
    Kind("ceil_mode", partial(_flipped, name="ceil_mode"), _WINDOWS - {"Conv", "ConvTranspose"}),
    Kind(
        "padding counted", partial(_flipped, name="count_include_pad"), frozenset({"AveragePool"})
    ),
    Kind(
        "coordinates of a resize",
        partial(_other_word, name="coordinate_transformation_mode"),
        frozenset({"Resize"}),
    ),
    Kind("another mode", partial(_other_word, name="mode"), frozenset({"Resize", "Pad"})),
    Kind("Gelu exact or tanh", partial(_other_word, name="approximate"), frozenset({"Gelu"})),
    Kind(
        "the other direction",
        partial(_other_word, name="direction"),
        frozenset({"LSTM", "GRU", "RNN"}),
    ),
    Kind("the reset of a GRU", partial(_flipped, name="linear_before_reset"), frozenset({"GRU"})),
    Kind("the order of a top-k", partial(_flipped, name="largest"), frozenset({"TopK"})),
    Kind("a bound of Clip", _clipped, frozenset({"Clip"})),
)
