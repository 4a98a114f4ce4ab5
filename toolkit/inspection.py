"""What an ONNX file is: read without a runtime, and without its external weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from toolkit.artifact import OnnxArtifact, located, open_artifact, read_graph
from toolkit.errors import InputError
from toolkit.proto import all_nodes, graphs


@dataclass(frozen=True)
class Inspection:
    """The facts of one file."""

    artifact: OnnxArtifact
    bytes: int
    parameters: int
    """Elements of all initializers, subgraphs included."""
    ir_version: int
    opsets: dict[str, int]
    producer: str
    operators: dict[str, int]
    """Operator to count, the most frequent first, subgraphs included."""

    def to_dict(self) -> dict[str, Any]:
        made = self.artifact
        return {
            "path": str(made.path),
            "bytes": self.bytes,
            "parameters": self.parameters,
            "ir_version": self.ir_version,
            "opsets": self.opsets,
            "producer": self.producer,
            "signature": str(made.signature).splitlines(),
            "signature_assumed": made.assumed,
            "provenance": asdict(made.provenance),
            "operators": self.operators,
        }


def inspect(path: Path | str) -> Inspection:
    """Read a file's (or bundle's) account of itself. Raises InputError where it is not ONNX."""
    path = located(path)
    proto = read_graph(path)
    artifact = open_artifact(path, proto=proto)
    inner = graphs(proto.graph)
    counts = Counter(
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in all_nodes(proto)
    )
    try:
        size = artifact.size
    except OSError as error:
        raise InputError(
            f"'{error.filename}' cannot be read: {error.strerror}", "its weights belong beside it"
        ) from error
    return Inspection(
        artifact,
        size,
        sum(prod(t.dims) for graph in inner for t in graph.initializer),
        proto.ir_version,
        {o.domain or "ai.onnx": o.version for o in proto.opset_import},
        f"{proto.producer_name} {proto.producer_version}".strip(),
        dict(counts.most_common()),
    )
