"""A file whose graph is right and whose outputs are not: which optimization, or which kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from toolkit.artifact import OnnxArtifact
from toolkit.inference.intermediates import values
from toolkit.inference.optimizations import Optimizations
from toolkit.parity.bisect import culprits
from toolkit.parity.landmarks import Step
from toolkit.parity.localize import steepest
from toolkit.parity.located import Departure
from toolkit.parity.sketch import Sketch
from toolkit.parity.verdict import Tolerance

Wrong = Callable[[Mapping[str, np.ndarray]], bool]
"""Are these outputs of the file, by its own names, other than the original's?"""


@dataclass(frozen=True)
class Optimization:
    """A runtime's rewrites that change the result: a sentence on them, and their names."""

    told: str
    runtime: str
    names: tuple[str, ...]


def of_optimizations(
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    wrong: Wrong,
    *,
    runtime: str,
    device: str,
    seconds: float,
) -> Optimization | None:
    """The rewrites without which the runtime is right; None where none is to blame.

    First its levels of optimization in turn, then, by halving, those of its rewrites that change
    this graph. `feeds` are named as the file does.
    """
    with Optimizations(artifact, feeds, runtime=runtime, device=device, seconds=seconds) as runs:
        levels, names = runs.known()
        bad = next((n for n, level in enumerate(levels) if wrong(runs.run(level))), 0)
        if bad == 0:  # wrong without any, or right with all
            return None
        found = culprits(names, lambda off: not wrong(runs.run(levels[-1], off)))
    told = (
        f"an optimization of {runtime}: right at level '{levels[bad - 1]}',"
        f" wrong at level '{levels[bad]}'"
    )
    if found:
        told += f"; right with disabled_optimizers={list(found)}"
    return Optimization(told, runtime, found)


def of_kernels(
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    exact: Mapping[str, Sketch],
    graph: Sequence[Step],
    yardstick: Callable[[Sketch], float],
    *,
    runtime: str,
    device: str,
    seconds: float,
) -> Departure | None:
    """The node at which the runtime adds most to the error, against the graph in float64."""
    found = values(artifact, feeds, runtime=runtime, device=device, timeout=seconds)
    errors = {}
    for name, sketch in found.items():
        if name in exact:
            error, unit = sketch.distance(exact[name]), yardstick(exact[name])
            errors[name] = 0.0 if error == 0.0 else error / unit if unit else inf
    return steepest(graph, errors, Tolerance().factor)
