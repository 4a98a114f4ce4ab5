"""Where a failing file departs from its original: the node, its module, the source line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from toolkit.artifact import OnnxArtifact, read_outline, read_weights
from toolkit.optimize.places import steps, whole_numbers
from toolkit.parity.baked import baked
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.landmarks import Map, Step
from toolkit.parity.localize import departure, first, profile
from toolkit.parity.located import Departure, Located
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance
from toolkit.parity.weights import changed
from toolkit.pipeline import blame
from toolkit.pipeline.insides import Arrays, Inside, left, of_file, of_module, yardstick
from toolkit.pipeline.refused import Cause, cause, refusing

SLOWEST = 32 << 20
"""Bytes of a file that are looked through in a second at the least: it is read, widened and run
twice. Of 5 GB, half a budget of 30 seconds would tell nothing."""


@dataclass(frozen=True)
class Found:
    """What was located, and what it was seen by: enough to cut out the part that shows it."""

    located: Located
    inside: Inside | None = None
    map: Map | None = None
    step: Step | None = None
    meant: int | None = None
    """The landmark that the step's value should have been."""
    original: OnnxArtifact | None = None
    optimization: blame.Optimization | None = None


def locate(
    report: ParityReport,
    artifact: OnnxArtifact,
    reference: Reference,
    *,
    original: OnnxArtifact | None = None,
    runtime: str = "onnxruntime",
    tolerance: Tolerance | None = None,
    seconds: float,
) -> Found | None:
    """The first node that departs in the smallest failing case of a report, None without any.

    Raises OnnxportError where neither the graph nor the original can be looked into.
    """
    proto = read_outline(artifact.path)
    graph = steps(proto.graph)
    inputs = [d.name for d in artifact.inputs]
    behind = partial(baked, graph, inputs, whole_numbers(proto))
    tolerance = tolerance or Tolerance()
    end = time.perf_counter() + max(seconds, artifact.size / SLOWEST)
    failing = [r.case for r in report.failures if not all(j.holds for j in r.judgements)]
    if not failing and (refused := refusing(report, graph)):
        case, at = refused
        if at:
            made = behind(at)
            why = Cause(made) if made else cause(at, case, artifact, reference, graph, end)
            return Found(Located(_departure(why.step), why.blame, case=str(case)))
        failing = [case]  # by a node that is none of the file's: its values may tell
    flawed = _flawed(report, graph)
    if not failing:
        return Found(Located(_departure(flawed))) if flawed else None
    for case in _simplest(failing, reference):
        feeds = case.feeds(reference.signature, reference.given)
        inside = Inside(artifact, reference, feeds, tolerance)
        found = inside.look(end).values
        wrong = inside.wrong(found)
        if wrong:
            break
    named: dict[str, int] = {}
    alike: dict[str, int] = {}
    if original is None:
        marks = of_module(reference, feeds)
    else:
        marks, named, alike = of_file(original, reference, feeds, graph, end)
    fed = {name: Sketch.of(array) for name, array in inside.fed.items()}
    here = Map(inputs, graph, {**fed, **found}, marks, Tolerance().factor, named, alike)
    if not wrong:
        guilty, departs, blamed = _of_runtime(inside, here, end, runtime, report.device)
        step = next((s for s in graph if departs and s.node == departs.node), None)
        told = Located(departs, blamed, profile(here), str(case))
        return Found(told, inside, here, step, None, original, guilty)
    altered = {*changed(reference.weights(), read_weights(artifact))}
    step, meant = first(here, wrong, altered) or (None, None)
    if flawed and not (step and (step is flawed or altered & {*step.inputs})):
        step, meant = flawed, None  # its own value may be too near to tell
    made = behind(step) if step and step is not flawed else None
    departs = _departure(made) if made else departure(here, step, meant) if step else None
    told = Located(departs, (), profile(here), str(case))
    return Found(told, inside, here, step, meant, original)


def _of_runtime(
    inside: Inside, here: Map, end: float, runtime: str, device: str
) -> tuple[blame.Optimization | None, Departure | None, tuple[str, ...]]:
    """The graph is right: what the runtime does to it, an optimization first, else a kernel.

    Last a sentence on it.
    """

    def wrong(outputs: Arrays) -> bool:
        return bool(inside.wrong({name: Sketch.of(array) for name, array in outputs.items()}))

    def unit(sketch: Sketch) -> float:
        return yardstick(sketch, None, "float32")

    where: dict[str, Any] = {"runtime": runtime, "device": device}
    guilty = blame.of_optimizations(
        inside.artifact, inside.fed, wrong, **where, seconds=left(end) / 2
    )
    if guilty:
        return guilty, None, (guilty.told,)
    kernel = blame.of_kernels(
        inside.artifact, inside.fed, here.values, here.steps, unit, **where, seconds=left(end)
    )
    told = f"the graph is right in float64: a kernel of {runtime} is off"
    return None, kernel, (told,) if kernel else ()


_SMALL = (2, 3, 5, 7, 11, 13)
"""Sizes at which a fault is looked for first: small, above 1, and told apart from each other."""


def _simplest(failing: Sequence[Case], reference: Reference) -> Iterator[Case]:
    """A small failing case of which the values differ from each other; before it a smaller one yet.

    Of one row of one token, or of zeros, too many values are the same to tell them apart.
    """
    signature = reference.signature

    def order(case: Case) -> tuple[bool, int, str]:
        mixed = case.fill in ("uniform", GIVEN) and all(size > 1 for _, size in case.sizes)
        return not mixed, case.volume(signature), str(case)

    case = min(failing, key=order)
    if case.fill != GIVEN:
        sizes = tuple((d.name, d.snap(_SMALL[n % 6])) for n, d in enumerate(signature.dims))
        smaller = replace(case, sizes=sizes)
        if 4 * smaller.volume(signature) < case.volume(signature):
            yield smaller
    yield case


def _flawed(report: ParityReport, graph: Sequence[Step]) -> Step | None:
    """The first node that has a flaw, or reads a weight that has one."""
    places = {flaw.at for flaw in report.flaws} - {""}
    return next((s for s in graph if places & {s.node, *s.inputs}), None)


def _departure(step: Step) -> Departure:
    return Departure(step.node, step.operator, step.module, step.line)
