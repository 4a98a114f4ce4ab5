"""Where a rounded file loses its signal: layer by layer, against the same values unrounded."""

from __future__ import annotations

import time

from toolkit.artifact import OnnxArtifact, read_outline
from toolkit.inference.intermediates import values
from toolkit.optimize.places import steps
from toolkit.parity.cases import Case
from toolkit.parity.located import Layer
from toolkit.parity.reference import Reference
from toolkit.parity.sensitivity import nearest, sensitivity
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.insides import Inside, left, of_file, of_module


def layers_of(
    artifact: OnnxArtifact,
    reference: Reference,
    case: Case,
    *,
    original: OnnxArtifact | None = None,
    seconds: float,
) -> tuple[Layer, ...]:
    """The signal-to-noise ratio of each layer on one case, in the order in which they run.

    Values of `original`, where the reference is a file, are matched by name; those of a module by
    module and size, to the one that is nearest. Raises OnnxportError where one cannot be run.
    """
    end = time.perf_counter() + seconds
    feeds = case.feeds(reference.signature, reference.given)
    graph = steps(read_outline(artifact.path).graph)
    inside = Inside(artifact, reference, feeds, Tolerance())
    written = "onnxruntime-unoptimized"
    found = values(artifact, inside.fed, runtime=written, timeout=left(end) / 2)
    if original is not None:
        marks, named, _ = of_file(original, reference, feeds, graph, end)
    else:
        marks = of_module(reference, feeds)
        named = nearest(graph, found, marks)
    return sensitivity(graph, found, marks, named)
