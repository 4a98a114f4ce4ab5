"""Where a failing file departs from its original: the node, its module, the source line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from toolkit.artifact import OnnxArtifact, read_graph, read_weights
from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import OnnxportError
from toolkit.inference.intermediates import values
from toolkit.optimize.places import steps
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.localize import Landmark, Map, Step
from toolkit.parity.located import Departure, Located
from toolkit.parity.reference import Expectation, Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance
from toolkit.parity.weights import changed
from toolkit.pipeline import blame
from toolkit.pipeline.subjects import matched

Arrays = Mapping[str, np.ndarray]

_REFUSED = re.compile(r"Name:\s?'([^']+)'")
"""How ONNX Runtime names the node at which a run ended."""


def located(
    report: ParityReport,
    artifact: OnnxArtifact,
    reference: Reference,
    *,
    original: OnnxArtifact | None = None,
    runtime: str = "onnxruntime",
    tolerance: Tolerance | None = None,
    seconds: float,
) -> ParityReport:
    """The report with where it departs; with a note instead where that cannot be told.

    `original` is the file that `reference` runs, where it is one; `runtime` is the one that was
    checked. It takes about `seconds`, and never changes the verdict.
    """
    options: dict[str, Any] = {"original": original, "runtime": runtime, "tolerance": tolerance}
    try:
        found = locate(report, artifact, reference, **options, seconds=seconds)
    except Exception as error:  # whatever a stranger's module or graph does here: it was judged
        text = error.message if isinstance(error, OnnxportError) else f"{error!r}"
        return replace(report, notes=(*report.notes, f"not located: {text}"))
    return replace(report, located=found)


def locate(
    report: ParityReport,
    artifact: OnnxArtifact,
    reference: Reference,
    *,
    original: OnnxArtifact | None = None,
    runtime: str = "onnxruntime",
    tolerance: Tolerance | None = None,
    seconds: float,
) -> Located | None:
    """The first node that departs in the smallest failing case of a report, None without any.

    Raises OnnxportError where neither the graph nor the original can be looked into.
    """
    graph = steps(read_graph(artifact.path).graph)
    altered = set(changed(reference.weights(), read_weights(artifact)))
    failing = [r.case for r in report.failures if r.judgements]
    if not failing:
        return _without_values(report, graph, altered)
    end = time.perf_counter() + seconds
    tolerance = tolerance or Tolerance()
    for case in _simplest(failing, reference):
        feeds = case.feeds(reference.signature, reference.given)
        inside = _Inside(artifact, reference, feeds, tolerance)
        found = inside.look(end).values
        wrong = inside.wrong(found)
        if wrong:
            break
    expected: dict[str, int] = {}
    alike: dict[str, int] = {}
    if original is None:
        marks = _of_module(reference, feeds)
    else:
        marks, expected, alike = _of_file(original, reference, feeds, graph, end)
    here = Map(
        [d.name for d in artifact.inputs], graph, found, marks, Tolerance().factor, expected, alike
    )
    if wrong:
        return Located(here.departure(wrong, altered), (), here.profile(), str(case))
    departure, told = inside.off(graph, found, end, runtime=runtime, device=report.device)
    return Located(departure, told, here.profile(), str(case))


_SMALL = (2, 3, 5, 7, 11, 13)
"""Sizes at which a fault is looked for first: small, above 1, and told apart from each other."""


def _simplest(failing: Sequence[Case], reference: Reference) -> Iterator[Case]:
    """The smallest failing case; before it one of much smaller sizes, which may fail as well."""
    signature = reference.signature

    def volume(case: Case) -> int:
        return sum(a.size for a in case.feeds(signature, reference.given).values())

    case = min(failing, key=lambda c: (volume(c), str(c)))
    if case.fill != GIVEN:
        sizes = tuple((d.name, d.snap(_SMALL[n % 6])) for n, d in enumerate(signature.dims))
        smaller = replace(case, sizes=sizes)
        if 4 * volume(smaller) < volume(case):
            yield smaller
    yield case


def _without_values(
    report: ParityReport, graph: Sequence[Step], altered: set[str]
) -> Located | None:
    """Where no outputs differ: the node that the runtime names, or that reads a damaged weight."""
    for result in report.failures:
        named = _REFUSED.search(result.problem)
        step = next((s for s in graph if named and s.node == named[1]), None)
        if step:
            return Located(_departure(step), case=str(result.case))
    told = " ".join(report.problems)
    for step in graph:
        for name in step.inputs:
            if name in altered and f"'{name.removesuffix('.T')}'" in told:
                return Located(_departure(step))
    return None


def _departure(step: Step) -> Departure:
    return Departure(step.node, step.operator, step.module, step.line)


class _Look(NamedTuple):
    values: dict[str, Sketch]
    exact: bool
    """In float64: what the graph says, without any runtime's rounding."""


@dataclass
class _Inside:
    """A file on one feed, under its own names."""

    artifact: OnnxArtifact
    reference: Reference
    feeds: Arrays
    tolerance: Tolerance

    @cached_property
    def expected(self) -> Expectation:
        return self.reference.expect(self.feeds)

    def look(self, end: float) -> _Look:
        """All its values in float64, else in its own precision."""
        feeds = _fed(self.artifact, self.reference, self.feeds)
        try:
            half = _left(end) / 2
            exact = values(self.artifact, feeds, runtime="reference-float64", timeout=half)
            return _Look(exact, True)
        except OnnxportError:
            written = "onnxruntime-unoptimized"
            return _Look(values(self.artifact, feeds, runtime=written, timeout=_left(end)), False)

    def off(
        self,
        graph: Sequence[Step],
        found: Mapping[str, Sketch],
        end: float,
        *,
        runtime: str,
        device: str,
    ) -> tuple[Departure | None, tuple[str, ...]]:
        """The graph is right: what the runtime does to it, an optimization first, else a kernel."""
        feeds = _fed(self.artifact, self.reference, self.feeds)

        def wrong(outputs: Arrays) -> bool:
            return bool(self.wrong({name: Sketch.of(array) for name, array in outputs.items()}))

        where: dict[str, Any] = {"runtime": runtime, "device": device}
        told = blame.of_optimizations(self.artifact, feeds, wrong, **where, seconds=_left(end) / 2)
        if told:
            return None, told

        def yardstick(sketch: Sketch) -> float:
            return _yardstick(sketch, None, "float32")

        departure = blame.of_kernels(
            self.artifact, feeds, found, graph, yardstick, **where, seconds=_left(end)
        )
        told = (
            (f"the graph is right in float64: a kernel of {runtime} is off",) if departure else ()
        )
        return departure, told

    def wrong(self, found: Mapping[str, Sketch]) -> list[str]:
        """The outputs, by the file's names, that are not what the original returns."""
        expected = self.expected
        names = matched([s.name for s in self.reference.signature.outputs], self.artifact.outputs)
        tolerance, wrong = self.tolerance, []
        for name, plain in expected.plain.items():
            theirs = names.get(name, name)
            if theirs in found:
                truth = Sketch.of(expected.truth[name])
                atol = tolerance.factor * _yardstick(truth, Sketch.of(plain), str(plain.dtype))
                rtol = 0.0
                if tolerance.explicit:
                    atol, rtol = tolerance.atol or 0.0, tolerance.rtol or 0.0
                if not found[theirs].within(truth, atol, rtol):
                    wrong.append(theirs)
        return wrong


def _left(end: float) -> float:
    return max(1.0, end - time.perf_counter())


def _fed(artifact: OnnxArtifact, reference: Reference, feeds: Arrays) -> dict[str, np.ndarray]:
    names = matched([s.name for s in reference.signature.inputs], artifact.inputs)
    return {names.get(name, name): array for name, array in feeds.items()}


def _yardstick(truth: Sketch, plain: Sketch | None, dtype: str) -> float:
    """The error of the original's own precision, at least a few ulps; none for whole numbers."""
    if DTYPES[dtype].kind != "f":
        return 0.0
    floor = Tolerance().floor_ulps * epsilon(dtype) * truth.scale
    error = plain.distance(truth) if plain is not None else 0.0
    return max(floor, error if np.isfinite(error) else 0.0)


def _of_module(reference: Reference, feeds: Arrays) -> list[Landmark]:
    """What the module computes on the way, in float64 where it has it."""
    plain, exact = (_recorded(s, feeds) for s in (reference.plain, reference.exact))
    own = {r.key: r for r in plain}
    marks = []
    for value in exact or plain:
        other = own.get(value.key)
        if other is None or other.sketch.shape != value.sketch.shape:
            other = None
        dtype = other.dtype if other else value.dtype
        dtype = "float32" if dtype == "float64" else dtype
        yardstick = _yardstick(value.sketch, other.sketch if other else None, dtype)
        marks.append(Landmark(value.sketch, yardstick, value.operator, value.module, value.line))
    return marks


def _recorded(session: Any, feeds: Arrays) -> list[Any]:
    recorded = getattr(session, "recorded", None)
    return recorded(feeds) if recorded else []


def _of_file(
    original: OnnxArtifact,
    reference: Reference,
    feeds: Arrays,
    graph: Sequence[Step],
    end: float,
) -> tuple[list[Landmark], dict[str, int], dict[str, int]]:
    """The values of the original file; those that one of `graph` must be, and those like it."""
    truth, exact = _Inside(original, reference, feeds, Tolerance()).look(end)
    near = feeds if exact else reference.nudged(feeds)
    written, fed = "onnxruntime-unoptimized", _fed(original, reference, near)
    plain = values(original, fed, runtime=written, timeout=_left(end))
    theirs = steps(read_graph(original.path).graph)
    marks: list[Landmark] = []
    index = {}
    for step in theirs:
        for name in step.outputs:
            if name in truth:
                index[name] = len(marks)
                dtype = "float32" if (truth[name].elements % 1 != 0).any() else "int64"
                yardstick = _yardstick(truth[name], plain.get(name), dtype)
                marks.append(Landmark(truth[name], yardstick, step.node, step.module, step.line))
    named = {n: index[n] for step in graph for n in step.outputs if n in index}
    pairs = _aligned([s for s in graph if not named.keys() & {*s.outputs}], theirs)
    return marks, named, {our: index[their] for our, their in pairs if their in index}


def _aligned(ours: Sequence[Step], theirs: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Pairs of values that should be the same by the place of their nodes in the two graphs."""
    one, other = ([(s.operator, len(s.inputs)) for s in side] for side in (ours, theirs))
    for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks():
        for n in range(block.size):
            yield from zip(ours[block.a + n].outputs, theirs[block.b + n].outputs, strict=False)
