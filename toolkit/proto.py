"""ONNX's protobuf classes without the rest of the onnx package, whose import takes 0.2 s."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_NAME = "onnx.onnx_ml_pb2"


def parse_model(data: bytes) -> ModelProto:
    """A model from its bytes; raises google.protobuf's DecodeError where they are none."""
    model = _model_class()()
    model.ParseFromString(data)
    return model


def graphs(graph: GraphProto) -> list[GraphProto]:
    """The graph, and all graphs within its nodes (If, Loop, Scan)."""
    found = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += graphs(attribute.g)
            for inner in attribute.graphs:
                found += graphs(inner)
    return found


def all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Those of the graph, of all graphs within it and of functions, always in the same order."""
    for holder in (*graphs(model.graph), *model.functions):
        yield from holder.node


def is_flat(model: ModelProto) -> bool:
    """Are there no graphs within the graph, that could read its values and weights?"""
    return len(graphs(model.graph)) == 1


def _model_class() -> type[ModelProto]:
    if _NAME not in sys.modules and (package := util.find_spec("onnx")):
        # By its file, under its own name: a later `import onnx` finds these very classes.
        folder = (package.submodule_search_locations or [""])[0]
        path = Path(folder, "onnx_ml_pb2.py")
        spec = util.spec_from_file_location(_NAME, path) if path.is_file() else None
        if spec and spec.loader:
            module = util.module_from_spec(spec)
            sys.modules[_NAME] = module
            spec.loader.exec_module(module)
    if _NAME in sys.modules:
        found: type[ModelProto] = sys.modules[_NAME].ModelProto
        return found
    import onnx

    return onnx.ModelProto
