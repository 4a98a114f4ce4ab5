"""onnx's evaluator in float64 over a file whose weights stay on disk.

A weight is widened for the node that reads it and dropped after it, and so is a value that no later
node reads: a graph of any size takes its largest layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from runtimes.functions import EXACT
from toolkit import external

STREAMED = 64 << 20
"""Bytes of weights above which a file is; those of smaller ones are widened once for all runs."""


def is_heavy(outline: onnx.ModelProto) -> bool:
    return sum(map(external.size, outline.graph.initializer)) > STREAMED


def small(outline: onnx.ModelProto) -> onnx.ModelProto:
    """The model with only the weights that it holds itself."""
    found = onnx.ModelProto()
    found.CopyFrom(outline)
    del found.graph.initializer[:]
    found.graph.initializer.extend(t for t in outline.graph.initializer if not external.stored(t))
    return found


class Streaming:
    """Evaluates a model that is in float64 but for `weights`, which it lacks."""

    def __init__(self, model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> None:
        evaluator = ReferenceEvaluator(model, new_ops=EXACT)
        self.output_names = evaluator.output_names
        self._nodes, self._own, self._weights = evaluator.rt_nodes_, evaluator.rt_inits_, weights
        read = {name: n for n, node in enumerate(self._nodes) for name in node.input}
        made = {name: n for n, node in enumerate(self._nodes) for name in node.output if name}
        self._made = made.keys()
        self._done: dict[int, list[str]] = {}
        """What is read for the last time by a node, by its number."""
        for name, number in made.items():
            self._done.setdefault(read.get(name, number), []).append(name)

    def run(self, output_names: None, feeds: Mapping[str, np.ndarray]) -> list[Any]:
        """All outputs, as the evaluator's own `run` gives them."""
        wanted = {*self.output_names}
        found = {name: value for name, value in self.walk(feeds) if name in wanted}
        return [found[name] for name in self.output_names]

    def walk(self, feeds: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
        """What each node makes, by name, as it makes it; an output that none makes comes first."""
        values: dict[str, Any] = {"": None, **self._own, **feeds}
        for name in {*self.output_names} - self._made:
            yield name, values[name] if name in values else self._read(name, wide=True)
        for number, node in enumerate(self._nodes):
            rows = node.op_type == "Gather"  # looked up first, and widened then
            inputs = [
                values[name] if name in values else self._read(name, wide=not rows)
                for name in node.input
            ]
            found = [_wide(value) if rows else value for value in node.run(*inputs)]
            made = {n: v for n, v in zip(node.output, found, strict=False) if n}
            yield from made.items()
            values |= made
            for name in self._done.get(number, ()):
                del values[name]

    def _read(self, name: str, *, wide: bool) -> np.ndarray:
        return _wide(self._weights[name]) if wide else self._weights[name]


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype in (np.float32, np.float16) else array
