"""Faulty files: one thing changed in a right one, by operators that imitate real mistakes.

A kind is data: a name, the ONNX operators at which it applies, and a function that changes one node
of a model in place and says whether it could. `weights.py` changes numbers, `attributes.py` what a
node is told, `wiring.py` what it reads and computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from toolkit.proto import graphs

Generator = np.random.Generator


@dataclass(frozen=True)
class Site:
    """A node of a model, with what stands around it."""

    model: ModelProto
    graph: GraphProto
    node: NodeProto

    def weight(self, name: str) -> TensorProto | None:
        """The initializer or constant of this name."""
        for graph in graphs(self.model.graph):
            for tensor in graph.initializer:
                if tensor.name == name:
                    return cast(TensorProto, tensor)
            for node in graph.node:
                if node.op_type == "Constant" and name in node.output:
                    values = (a.t for a in node.attribute if a.name == "value")
                    return next(values, None)
        return None

    def weights(self, *, rank: int = 1) -> list[TensorProto]:
        """The floating tensors that the node reads, of at least so many dimensions."""
        found = (self.weight(name) for name in self.node.input if name)
        return [
            t
            for t in found
            if t is not None and t.data_type == TensorProto.FLOAT and len(t.dims) >= rank
        ]

    def dynamic(self) -> list[int]:
        """The inputs that are neither weights nor left out, by position."""
        return [n for n, name in enumerate(self.node.input) if name and self.weight(name) is None]


Change = Callable[[Site, Generator], bool]


@dataclass(frozen=True)
class Kind:
    name: str
    change: Change
    on: frozenset[str] = frozenset()
    """Operators of ONNX; none stands for all."""


@dataclass(frozen=True)
class Mutant:
    """`nodes`: those that were changed, or that read what was."""

    kind: str
    model: ModelProto
    nodes: tuple[str, ...]


def kinds() -> dict[str, Kind]:
    """All of them, by name."""
    from benchmarks.mutants import attributes, weights, wiring

    return {k.name: k for k in (*weights.KINDS, *attributes.KINDS, *wiring.KINDS)}


def mutants(model: ModelProto, kind: Kind, rng: Generator, most: int) -> Iterator[Mutant]:
    """At most so many, each at another node, in an order that the generator draws."""
    places = [
        (g, n)
        for g, graph in enumerate(graphs(model.graph))
        for n, node in enumerate(graph.node)
        if not kind.on or node.op_type in kind.on
    ]
    made = 0
    for index in rng.permutation(len(places)):
        if made == most:
            return
        copy = ModelProto()
        copy.CopyFrom(model)
        at, number = places[index]
        graph = list(graphs(copy.graph))[at]
        site = Site(copy, graph, graph.node[number])
        name = site.node.name
        if kind.change(site, rng) and copy != model:
            made += 1
            yield Mutant(kind.name, copy, (name, *_others(model, copy, name)))


def _others(model: ModelProto, mutant: ModelProto, name: str) -> list[str]:
    """What else is another node than before, or reads a weight that is: several may share one."""
    before = {n.name: n for g in graphs(model.graph) for n in g.node}
    weights = {t.name: t for g in graphs(model.graph) for t in g.initializer}
    after = [t for g in graphs(mutant.graph) for t in g.initializer]
    changed = {t.name for t in after if t.name in weights and t != weights[t.name]}
    return [
        n.name
        for g in graphs(mutant.graph)
        for n in g.node
        if n.name not in ("", name) and (changed & {*n.input} or n != before.get(n.name))
    ]


def array(tensor: TensorProto) -> np.ndarray:
    """A copy that may be written into."""
    return np.array(numpy_helper.to_array(tensor))


def store(tensor: TensorProto, values: np.ndarray) -> bool:
    """Put other values into a tensor; False where they are the ones it has."""
    if np.array_equal(values, numpy_helper.to_array(tensor)):
        return False
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    return True


def pick(rng: Generator, among: list[TensorProto]) -> TensorProto | None:
    return among[int(rng.integers(len(among)))] if among else None
