"""What operators of a file are: do they order numbers (NaN has no place), are they internal?"""

from __future__ import annotations

from toolkit.artifact import OnnxArtifact, read_outline
from toolkit.dtypes import DTYPES
from toolkit.proto import all_nodes, graphs

_ORDERING = frozenset(
    {
        *("ArgMax", "ArgMin", "Hardmax", "MaxPool", "NonMaxSuppression"),
        *("OneHot", "Sign", "TopK", "Unique"),
    }
)
"""ONNX's operator documents say nothing of NaN for these (torch.sign makes 0 of it, ONNX Runtime
NaN). C leaves float to integer undefined."""

_WHOLE = frozenset(row.onnx for row in DTYPES.values() if row.kind in "iu")


_INTERNAL = "com.microsoft.nchwc"
"""The layout that ONNX Runtime gives convolutions on the machine at hand; no specification."""


def has_internals(artifact: OnnxArtifact) -> bool:
    """Does a file have operators that ONNX Runtime keeps for itself?"""
    proto = read_outline(artifact.path)
    return any(node.domain == _INTERNAL for graph in graphs(proto.graph) for node in graph.node)


def orders_numbers(artifact: OnnxArtifact) -> bool:
    """Does a file order numbers, ask for their sign, or cast them to integers?"""
    proto = read_outline(artifact.path)
    return any(
        node.op_type in _ORDERING
        or (node.op_type == "Cast" and any(a.i in _WHOLE for a in node.attribute if a.name == "to"))
        for node in all_nodes(proto)
    )
