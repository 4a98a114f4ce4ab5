"""A file and its original looked into on one feed: what the one computes, what the other does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from toolkit.artifact import OnnxArtifact, read_outline
from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import OnnxportError
from toolkit.inference.intermediates import values
from toolkit.optimize.places import steps
from toolkit.parity.expectation import Expectation
from toolkit.parity.landmarks import Landmark, Step
from toolkit.parity.reference import Reference
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.subjects import matched
from toolkit.proto import is_flat

Arrays = Mapping[str, np.ndarray]


LARGEST = 256 << 20
"""Bytes of a file up to which it is evaluated in float64 where that takes all of it at once: the
weights and all values, twice as wide."""


class Look(NamedTuple):
    values: dict[str, Sketch]
    exact: bool
    """In float64: what the graph says, without any runtime's rounding."""


@dataclass
class Inside:
    """A file on one feed, under its own names."""

    artifact: OnnxArtifact
    reference: Reference
    feeds: Arrays
    tolerance: Tolerance

    @cached_property
    def expected(self) -> Expectation:
        return self.reference.expect(self.feeds)

    @cached_property
    def fed(self) -> dict[str, np.ndarray]:
        """The feed under the file's own names."""
        names = matched([s.name for s in self.reference.signature.inputs], self.artifact.inputs)
        return {names.get(name, name): array for name, array in self.feeds.items()}

    def look(self, end: float) -> Look:
        """All its values in float64, else in its own precision."""
        # Without graphs in its graph it is evaluated layer by layer, its weights on disk.
        if self.artifact.size <= LARGEST or is_flat(read_outline(self.artifact.path)):
            with suppress(OnnxportError):  # an operator that is missing there, or not enough time
                half = left(end) / 2
                exact = values(self.artifact, self.fed, runtime="reference-float64", timeout=half)
                return Look(exact, True)
        written = "onnxruntime-unoptimized"
        return Look(values(self.artifact, self.fed, runtime=written, timeout=left(end)), False)

    def look_before(self, end: float) -> dict[str, Sketch]:
        """Its values in float64 before the node that is refused. Raises as `values` does."""
        seconds, runtime = left(end), "reference-float64"
        return values(self.artifact, self.fed, runtime=runtime, timeout=seconds, partial=True)

    def wrong(self, found: Mapping[str, Sketch]) -> list[str]:
        """The outputs, by the file's names, that are not what the original returns."""
        expected = self.expected
        names = matched([s.name for s in self.reference.signature.outputs], self.artifact.outputs)
        wrong = []
        for name, plain in expected.plain.items():
            theirs = names.get(name, name)
            if theirs in found:
                truth = Sketch.of(expected.truth[name])
                unit = yardstick(truth, Sketch.of(plain), str(plain.dtype))
                near = found[theirs].within(truth, *allowed(self.tolerance, unit))
                if not near or found[theirs].shape != truth.shape:
                    wrong.append(theirs)
        return wrong


def left(end: float) -> float:
    """Seconds until then, and always enough for something small."""
    return max(1.0, end - time.perf_counter())


def allowed(tolerance: Tolerance, unit: float) -> tuple[float, float]:
    """The absolute and the relative error that a tolerance allows where `unit` is the yardstick."""
    if tolerance.explicit:
        return tolerance.atol or 0.0, tolerance.rtol or 0.0
    return tolerance.factor * unit, 0.0


def yardstick(truth: Sketch, plain: Sketch | None, dtype: str) -> float:
    """The error of the original's own precision, at least a few ulps; none for whole numbers."""
    if DTYPES[dtype].kind != "f":
        return 0.0
    floor = Tolerance().floor_ulps * epsilon(dtype) * truth.scale
    error = plain.distance(truth) if plain is not None else 0.0
    return max(floor, error if np.isfinite(error) else 0.0)


def of_module(reference: Reference, feeds: Arrays) -> list[Landmark]:
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
        unit = yardstick(value.sketch, other.sketch if other else None, dtype)
        marks.append(
            Landmark(value.sketch, unit, value.operator, value.module, value.line, value.number)
        )
    return marks


def _recorded(session: Any, feeds: Arrays) -> list[Any]:
    recorded = getattr(session, "recorded", None)
    return recorded(feeds) if recorded else []


def of_file(
    original: OnnxArtifact,
    reference: Reference,
    feeds: Arrays,
    graph: Sequence[Step],
    end: float,
) -> tuple[list[Landmark], dict[str, int], dict[str, int]]:
    """The values of the original file; those that one of `graph` must be, and those like it."""
    truth, exact = Inside(original, reference, feeds, Tolerance()).look(end)
    near = feeds if exact else reference.nudged(feeds)
    written, fed = "onnxruntime-unoptimized", Inside(original, reference, near, Tolerance()).fed
    plain = values(original, fed, runtime=written, timeout=left(end))
    theirs = steps(read_outline(original.path).graph)
    marks: list[Landmark] = []
    index = {}
    for step in theirs:
        for place, name in enumerate(step.outputs):
            if name in truth:
                index[name] = len(marks)
                dtype = "int64" if truth[name].whole else "float32"
                unit = yardstick(truth[name], plain.get(name), dtype)
                marks.append(Landmark(truth[name], unit, step.node, step.module, step.line, place))
    named = {n: index[n] for step in graph for n in step.outputs if n in index}
    pairs = _aligned([s for s in graph if not named.keys() & {*s.outputs}], theirs)
    return marks, named, {our: index[their] for our, their in pairs if their in index}


def _aligned(ours: Sequence[Step], theirs: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Pairs of values that should be the same by the place of their nodes in the two graphs."""
    one, other = ([(s.operator, len(s.inputs)) for s in side] for side in (ours, theirs))
    for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks():
        for n in range(block.size):
            yield from zip(ours[block.a + n].outputs, theirs[block.b + n].outputs, strict=False)
