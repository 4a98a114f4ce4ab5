"""Which operators put numbers in order or ask for their sign: NaN has no defined place in them."""

from __future__ import annotations

from toolkit.artifact import OnnxArtifact, read_outline
from toolkit.dtypes import DTYPES
from toolkit.proto import graphs

_ORDERING = frozenset(
    {
        *("ArgMax", "ArgMin", "Hardmax", "MaxPool", "NonMaxSuppression"),
        *("OneHot", "Sign", "TopK", "Unique"),
    }
)
"""ONNX's operator documents say nothing of NaN for these (torch.sign makes 0 of it, ONNX Runtime
NaN). C leaves float to integer undefined."""

_WHOLE = frozenset(row.onnx for row in DTYPES.values() if row.kind in "iu")


def orders_numbers(artifact: OnnxArtifact) -> bool:
    """Does a file order numbers, ask for their sign, or cast them to integers?"""
    proto = read_outline(artifact.path)
    nodes = [node for graph in graphs(proto.graph) for node in graph.node]
    nodes += [node for function in proto.functions for node in function.node]
    return any(
        node.op_type in _ORDERING
        or (node.op_type == "Cast" and any(a.i in _WHOLE for a in node.attribute if a.name == "to"))
        for node in nodes
    )
