"""Weights that are one: equal bit by bit, or each other's transpose.

An optimizer that folds the transpose of a matrix which is used elsewhere as it is writes it twice:
the embedding and the output of a language model.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import external

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto


def bits(array: np.ndarray) -> np.ndarray | None:
    """The same memory as unsigned integers: zeros of either sign differ, NaN equals itself."""
    size = array.dtype.itemsize
    return array.view(f"u{size}") if size in (1, 2, 4, 8) else None


def marks(content: np.ndarray) -> Any:
    """What differs between most tensors: the shape, the type, and a few elements."""
    few = content.flat[:: max(1, content.size // 64)]
    return content.shape, content.dtype.str, few.tobytes()


def equal(content: np.ndarray, other: np.ndarray) -> bool:
    """Element by element, a part at a time: comparing all at once takes memory for the answer."""
    if content.shape != other.shape or content.dtype != other.dtype:
        return False
    if content.ctypes.data == other.ctypes.data and content.strides == other.strides:
        return True
    rows = max(1, (1 << 22) * len(content) // content.size)
    starts = range(0, len(content), rows)
    return all(np.array_equal(content[i : i + rows], other[i : i + rows]) for i in starts)


def tie(proto: ModelProto, folder: Path) -> None:
    """Compute matrices that are the transpose of another from that one, in place.

    `folder` has the files that the model points to.
    """
    from onnx import helper

    graph = proto.graph
    public = {value.name for value in (*graph.input, *graph.output)}
    kept: defaultdict[Any, list[TensorProto]] = defaultdict(list)
    made = []
    for tensor in [*graph.initializer]:
        if external.size(tensor) <= external.SMALL or len(tensor.dims) != 2:
            continue
        content = bits(external.read(tensor, folder))
        if content is None or tensor.name in public:
            continue
        for other in kept[marks(content.T)]:
            found = bits(external.read(other, folder))
            if found is not None and equal(content.T, found):
                made.append(helper.make_node("Transpose", [other.name], [tensor.name], perm=[1, 0]))
                graph.initializer.remove(tensor)
                break
        else:
            kept[marks(content)].append(tensor)
    for node in made:
        graph.node.insert(0, node)
