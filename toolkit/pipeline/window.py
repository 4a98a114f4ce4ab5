"""The fewest nodes at which a runtime's optimizations still change the result."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, open_artifact, read_model
from toolkit.inference.isolated import call_alone
from toolkit.optimize.cutting import before, cut, upstream
from toolkit.optimize.places import steps
from toolkit.parity.landmarks import depending
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.insides import allowed, yardstick


def window(
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    model: Path,
    inputs: Path,
    *,
    runtime: str,
    tolerance: Tolerance,
    seconds: float,
) -> int:
    """Write the part of a graph and what it is fed; how many nodes it has, 0 where none shows it.

    The end is the first node at which the graph up to it differs between the runtime's least and
    most optimized level; from there nodes are added backwards until they alone show it, and those
    that were not needed are dropped one by one.
    """
    target, options = f"{__name__}:_window", {"tolerance": asdict(tolerance)}
    reply = call_alone(target, artifact, feeds, runtime=runtime, timeout=seconds, **options)
    if not reply.value:
        return 0
    names, nodes, output = reply.value
    fed = {name: reply.arrays[name] for name in names}
    model.write_bytes(cut(read_model(artifact), nodes, fed, [output]).SerializeToString())
    np.savez(inputs, allow_pickle=False, **fed)
    return len(nodes)


# What follows runs in the child.


def _window(
    feeds: Mapping[str, np.ndarray],
    path: str,
    signature: str,
    runtime: str,
    tolerance: dict[str, Any],
) -> tuple[Any, dict[str, np.ndarray]]:
    search = _Search(open_artifact(path, signature), feeds, runtime, Tolerance(**tolerance))
    outputs = [n for n, step in enumerate(search.graph) if search.numbers(n)]
    low, high = 0, len(outputs) - 1
    while low < high:  # the first node up to which the graph differs
        middle = (low + high) // 2
        low, high = (low, middle) if search.shows(outputs[middle], None) else (middle + 1, high)
    if not outputs or not search.shows(outputs[low], None):
        return None, {}
    last = outputs[low]
    for depth in range(1, len(search.graph) + 1):
        kept = before(search.graph, last, depth)
        if search.shows(last, kept):
            break
    for node in sorted(kept - {last})[:_MOST]:
        if search.shows(last, kept - {node}):
            kept.remove(node)
    nodes, fed, output = search.part(last, kept)
    return (list(fed), nodes, output), fed


_MOST = 64
"""Nodes that are tried to be dropped; each takes two sessions."""


class _Search:
    def __init__(
        self,
        artifact: OnnxArtifact,
        feeds: Mapping[str, np.ndarray],
        runtime: str,
        tolerance: Tolerance,
    ) -> None:
        self._artifact, self._tolerance = artifact, tolerance
        self._model = read_model(artifact)
        self.graph = steps(self._model.graph)
        found = plugins.runtime(runtime)
        assert isinstance(found, plugins.Optimizing)
        self._runtime = found
        self._feeds = dict(feeds)
        self._live = depending(feeds, self.graph)
        every = [name for step in self.graph for name in step.outputs if name]
        whole = cut(self._model, range(len(self.graph)), feeds, every)
        self._values = {**feeds, **self._run(whole, self._feeds, found.levels[0])}

    def numbers(self, node: int) -> bool:
        """Does a node make a floating value that depends on the input?"""
        name = self.graph[node].outputs[0]
        value = self._values.get(name)
        return name in self._live and isinstance(value, np.ndarray) and value.dtype.kind == "f"

    def part(
        self, last: int, kept: set[int] | None
    ) -> tuple[list[int], dict[str, np.ndarray], str]:
        """Of the graph up to a node those nodes, or all; what they are fed, and the last value."""
        stops = set(self._feeds)
        if kept is not None:
            left_out = (step for n, step in enumerate(self.graph) if n not in kept)
            stops |= self._live & {name for step in left_out for name in step.outputs}
        output = self.graph[last].outputs[0]
        nodes, names = upstream(self.graph, [output], stops)
        return nodes, {name: self._values[name] for name in names}, output

    def shows(self, last: int, kept: set[int] | None) -> bool:
        """Does that part differ between the least and the most optimized level?"""
        nodes, fed, output = self.part(last, kept)
        part = cut(self._model, nodes, fed, [output])
        levels = self._runtime.levels
        plain, optimized = (
            Sketch.of(self._run(part, fed, level)[output]) for level in (levels[0], levels[-1])
        )
        limits = allowed(self._tolerance, yardstick(plain, None, "float32"))
        return not optimized.within(plain, *limits)

    def _run(
        self, model: Any, feeds: Mapping[str, np.ndarray], level: str
    ) -> dict[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            part = replace(self._artifact, path=Path(folder, "part.onnx"))
            part.path.write_bytes(model.SerializeToString())
            return dict(self._runtime.load_at(part, "cpu", level).run(feeds))
