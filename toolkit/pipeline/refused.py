"""Where a file departs of which the runtime refuses a case: there is no output to compare."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from toolkit.artifact import OnnxArtifact
from toolkit.errors import OnnxportError
from toolkit.parity.cases import Case
from toolkit.parity.landmarks import Map, Step
from toolkit.parity.misshapen import misshapen, unfit
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.insides import Inside, of_module

_NAMED = re.compile(r"Name:\s?'(?:fused )?([^']+)'")
"""How ONNX Runtime names the node at which a run ended; one that it fused has a word before, or
that of the fusion behind (`layers.0/MatMul_4/MatMulScaleFusion/`, `relu/Relu_nchwc`)."""


_RESHAPING = frozenset({"Reshape", "Squeeze", "Unsqueeze"})


class Cause(NamedTuple):
    step: Step
    blame: tuple[str, ...] = ()
    """A sentence, where more is known than the place."""


def refusing(report: ParityReport, graph: Sequence[Step]) -> tuple[Case, Step | None] | None:
    """The first case that is refused, and the node that the runtime names, where it is of the file.

    One that is refused at such a node comes before those that are not; None where none is refused.
    """
    refused: list[Case] = []
    for result in report.failures:
        if result.problem:
            refused.append(result.case)
        named = _NAMED.search(result.problem)
        known = [s for s in graph if named and s.node and named[1].startswith(s.node)]
        if known:
            return result.case, max(known, key=lambda s: len(s.node))
    return (refused[0], None) if refused else None


def cause(
    at: Step,
    case: Case,
    artifact: OnnxArtifact,
    reference: Reference,
    graph: Sequence[Step],
    end: float,
) -> Cause:
    """The node before `at` that makes a shape which the original never has, else `at` itself.

    Takes until `end` (`perf_counter`).
    """
    feeds = case.feeds(reference.signature, reference.given)
    inside = Inside(artifact, reference, feeds, Tolerance())
    try:
        found = inside.look_before(end)
    except OnnxportError:  # no evaluation in float64: the node that refuses is what is known
        return Cause(at)
    stopped = next((s for s in graph if found.keys().isdisjoint(s.outputs)), None)
    if stopped and stopped.operator == at.operator:  # the runtime has another order of nodes
        at = stopped
    marks = of_module(reference, feeds)
    fed = {name: Sketch.of(array) for name, array in inside.fed.items()}
    here = Map([*fed], graph, {**fed, **found}, marks, Tolerance().factor)
    odd = misshapen(here, at.inputs) if marks else None
    return Cause(odd) if odd else _asking(at, here) or Cause(at)


def _asking(at: Step, here: Map) -> Cause | None:
    """The node that computes the wrong number of the shape into which `at` cannot bring a value."""
    if at.operator != "Reshape" or not {*at.inputs} <= here.values.keys():
        return None
    given, shape = (here.values[name] for name in at.inputs)
    joined = here.made_by.get(at.inputs[1])
    if joined is None:
        return None
    if joined.operator != "Concat":
        return Cause(joined) if shape.size > 1 else None
    parts = [name for name in joined.inputs for _ in range(_length(name, here.values))]
    makers = [_maker(name, here.made_by) for name in parts]
    told = {n for n, maker in enumerate(makers) if maker and maker.operator == "Shape"}
    asked = [int(size) for size in shape.elements]
    wrong = unfit(asked, given.shape, told)
    if wrong is None or len(makers) != shape.size:
        return None
    why = f"'{at.node}' is told a size of {asked[wrong.place]} where {wrong.size} would fit"
    return Cause(makers[wrong.place] or joined, (why,))


def _maker(name: str, made_by: Mapping[str, Step]) -> Step | None:
    """The node that computes it, before it is moved."""
    maker = made_by.get(name)
    while maker and maker.operator in _RESHAPING:
        maker = made_by.get(maker.inputs[0])
    return maker


def _length(name: str, values: Mapping[str, Sketch]) -> int:
    """How many numbers it is; a constant is one, unless it is seen."""
    return values[name].size if name in values else 1
