"""The element types that a signature may name, and what numpy and ONNX call them: a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from toolkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np


class DType(NamedTuple):
    """One row: the name used in signatures and by torch, and the ONNX TensorProto.DataType code."""

    name: str
    onnx: int
    kind: str
    """`f` floating, `i` signed, `u` unsigned, `b` boolean."""


DTYPES = {
    row.name: row
    for row in (
        DType("float16", 10, "f"),
        DType("bfloat16", 16, "f"),
        DType("float32", 1, "f"),
        DType("float64", 11, "f"),
        DType("int8", 3, "i"),
        DType("int16", 5, "i"),
        DType("int32", 6, "i"),
        DType("int64", 7, "i"),
        DType("uint8", 2, "u"),
        DType("uint16", 4, "u"),
        DType("uint32", 12, "u"),
        DType("uint64", 13, "u"),
        DType("bool", 9, "b"),
    )
}
_FROM_ONNX = {row.onnx: row.name for row in DTYPES.values()}


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The numpy dtype of a signature dtype; bfloat16 is ml_dtypes' (numpy has none of its own)."""
    import numpy as np

    if name == "bfloat16":
        import ml_dtypes

        found: np.dtype[np.generic] = np.dtype(ml_dtypes.bfloat16)
        return found
    return np.dtype(name)


def from_onnx(code: int) -> str:
    """The signature dtype of an ONNX element type. Raises InputError for strings, float8, int4."""
    if code not in _FROM_ONNX:
        raise InputError(
            f"element type {code} of ONNX's TensorProto.DataType cannot be named in a signature",
            "signatures hold floating, integer and boolean tensors: " + ", ".join(DTYPES),
        )
    return _FROM_ONNX[code]


def epsilon(name: str) -> float:
    """The distance from 1.0 to the next number of a floating dtype (2^-23 for float32)."""
    if name == "bfloat16":
        return 2.0**-7
    import numpy as np

    return float(np.finfo(name).eps)


def smallest_normal(name: str) -> float:
    """The smallest positive normal number of a floating dtype (2^-126 for float32).

    Below it are the denormals, which hardware and runtimes may take for zero.
    """
    if name == "bfloat16":
        return 2.0**-126
    import numpy as np

    return float(np.finfo(name).smallest_normal)
