"""Whether a node of ONNX and an operator of PyTorch may stand for one another, by names. Pure."""

from __future__ import annotations

MOVING = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Operators that may lay out a right value in another way than the original does."""

MOVED = frozenset(
    {"transpose", "permute", "t", "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"}
    | {"clone", "expand", "alias", "detach"}
)
"""What PyTorch calls those."""

SAME, WITHIN, UNKNOWN, APART = range(4)
"""How far two paths are from naming one module."""


def far(ours: str, theirs: str) -> int:
    """SAME module, one WITHIN the other, UNKNOWN where ours is of the whole model, or APART.

    Exporters leave out containers and modules of PyTorch's: `layers.0` may be `encoder.layers.0`
    or `layers.0.self_attn`. A node of the whole model, or of a module that is not noted, is of any.
    """
    if ours == theirs:
        return SAME
    if not ours:
        return UNKNOWN
    within = f".{ours}." in f".{theirs}." or (theirs and f".{theirs}." in f".{ours}.")
    return WITHIN if within else APART


def agree(ours: str, theirs: str) -> bool:
    """May two paths name one module?"""
    return far(ours, theirs) < UNKNOWN


LAYER = "layer"
"""The operator of a landmark that is one layer of a recurrent module."""

_LOGICAL = frozenset(
    {f"{how}_{what}" for how in ("bitwise", "logical") for what in ("and", "or", "not")}
    | {"eq", "ne", "lt", "le", "gt", "ge"}
)
_IN_TORCH = {
    "Gemm": {"addmm", "linear"},
    "MatMul": {"mm", "bmm", "addmm", "matmul"},
    "Conv": {"convolution"},
    "ConvTranspose": {"convolution"},
    "AveragePool": {f"avg_pool{n}d" for n in (1, 2, 3)},
    "Gather": {"embedding", "index", "index_select", "select"},
    "Where": {"where", "masked_fill"},
    "Clip": {"clamp", "clamp_min", "clamp_max"},
    "Concat": {"cat", "stack"},
    "ReduceL2": {"linalg_vector_norm"},
    "ReduceMean": {"mean"},
    "ReduceSum": {"sum"},
    "ReduceMax": {"amax", "max"},
    "ReduceMin": {"amin", "min"},
    "Reshape": {"view", "unsafe_view", "reshape"},
    "Transpose": {"transpose", "permute", "t"},
    "LSTM": {"lstm", LAYER},
    "GRU": {"gru", LAYER},
    "RNN": {"rnn_tanh", "rnn_relu", LAYER},
} | dict.fromkeys(
    ("And", "Or", "Not", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"), _LOGICAL
)
"""What PyTorch calls operators of ONNX that have another name there."""


def alike(operator: str, theirs: str) -> bool:
    """Are an operator of ONNX and one of PyTorch the same by their names?"""
    plain = theirs.strip("_").lower()
    if operator in _IN_TORCH:
        return plain in _IN_TORCH[operator]
    return operator.removesuffix("alization").lower() in plain.replace("_", "")


def stands_for(operator: str, theirs: str) -> bool:
    """May one be the other as a whole: both only move a value, or are alike?"""
    return theirs in MOVED if operator in MOVING else alike(operator, theirs)
