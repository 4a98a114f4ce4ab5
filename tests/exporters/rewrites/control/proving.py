"""Export by the rewrites of control flow alone, and compare with eager PyTorch at many sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from exporters.dynamo import write
from exporters.rewrites.control import FAMILY
from toolkit import source
from toolkit.model import LoadedModel

Feeds = Mapping[str, np.ndarray]


class Proof:
    """A module's file, and the original beside it."""

    def __init__(self, made: tuple[nn.Module, str], path: Path) -> None:
        self._model: LoadedModel = source.load(made)
        write(self._model, path, opset=20, families=(FAMILY,))
        self._session = ort.InferenceSession(str(path))
        self._graph = onnx.load(str(path)).graph

    def operators(self) -> Counter[str]:
        """How often each operator occurs, in subgraphs too."""
        return Counter(_operators(self._graph))

    def holds_for(self, feeds: Feeds) -> None:
        got = self._session.run(None, dict(feeds))
        tensors = [torch.from_numpy(feeds[s.name]) for s in self._model.signature.inputs]
        with torch.no_grad():
            expected = self._model.flat()(*tensors)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-6)


def _operators(graph: onnx.GraphProto) -> list[str]:
    found = []
    for node in graph.node:
        found.append(node.op_type)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += _operators(attribute.g)
    return found


def normal(shape: Sequence[int], *, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    array = np.random.default_rng(seed).standard_normal(shape) + shift
    return array.astype(np.float32)
