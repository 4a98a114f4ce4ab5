"""Faults that stay below what float32 can tell, proven in float64: see `toolkit.parity.mending`.

The file is evaluated as it is and with one suspicion undone, on two small cases. Nothing is said
of a file or an original without an evaluation in float64, nor of a very large file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from toolkit.artifact import OnnxArtifact, read_model, read_outline, read_weights
from toolkit.errors import OnnxportError
from toolkit.examples import SPECIAL
from toolkit.optimize.naming import path as module_of
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.flaw import Flaw
from toolkit.parity.mending import (
    Mend,
    errors,
    exceeds,
    is_mended,
    of_casts,
    of_operators,
    of_weights,
)
from toolkit.parity.operators import nodes
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.pipeline.references import LazyFloat64

_LARGEST = 512 << 20
"""Bytes of a file of which a copy is written: two of its kind are in memory then."""


class _Heard(NamedTuple):
    """A case with what the original says in float64, and how far the file is from it, and how far
    the original in its own precision."""

    feeds: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    error: Mapping[str, float]
    own: Mapping[str, float]


def unseen(
    artifact: OnnxArtifact, reference: Reference, results: Sequence[CaseResult], *, seconds: float
) -> list[Flaw]:
    """The first fault that can be proven. `results`: of cases that hold."""
    end = time.monotonic() + seconds
    cases = _telling(results)
    try:
        mends = list(_suspicions(artifact, reference, cases))
        if not mends or not reference.has_truth or artifact.size > _LARGEST:
            return []
        heard = list(_hearings(artifact, reference, cases))
        for mend in mends if heard else ():
            if time.monotonic() > end:
                break
            if _is_proven(mend, artifact, reference, heard):
                return [mend.flaw]
    except OnnxportError:  # one of the two has no evaluation in float64
        pass
    return []


def _telling(results: Sequence[CaseResult]) -> list[Case]:
    """A small one of ordinary values, and of the smaller half the one that was the farthest off.

    Sizes of 1 come last: a softmax over one is always 1.
    """

    def order(result: CaseResult) -> tuple[bool, float]:
        sizes = [size for _, size in result.case.sizes]
        return min(sizes, default=2) < 2, float(np.prod(sizes, dtype=float))

    small = sorted((r for r in results if r.case.fill not in SPECIAL), key=order)
    first = [r for r in small if r.case.fill in ("uniform", GIVEN)][:1]
    others = [r for r in small[: (len(small) + 1) // 2] if r not in first]
    worst = sorted(others, key=lambda r: r.ratio, reverse=True)[:1]
    return [r.case for r in (*first, *worst)]


def _suspicions(
    artifact: OnnxArtifact, reference: Reference, cases: Sequence[Case]
) -> Iterator[Mend]:
    yield from of_weights(reference.weights(), read_weights(artifact))
    outline = read_outline(artifact.path)
    yield from of_casts(outline)
    if any(True for _ in nodes(outline)):
        for case in cases[:1]:
            feeds = case.feeds(reference.signature, reference.given)
            yield from of_operators(outline, reference.told(feeds), module_of)


def _hearings(
    artifact: OnnxArtifact, reference: Reference, cases: Sequence[Case]
) -> Iterator[_Heard]:
    run = _evaluation(artifact, reference)
    for case in cases:
        feeds = case.feeds(reference.signature, reference.given)
        expected = reference.expect(feeds)
        truth = reference.in_float64(feeds, expected)
        if truth is not None and reference.has_truth:
            own = errors(truth, expected.plain)
            yield _Heard(feeds, truth, errors(truth, run(feeds)), own)


def _is_proven(
    mend: Mend, artifact: OnnxArtifact, reference: Reference, heard: Sequence[_Heard]
) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        model = read_model(artifact)
        mend.apply(model)
        path = Path(folder, artifact.path.name)
        path.write_bytes(model.SerializeToString())
        run = _evaluation(replace(artifact, path=path, external=()), reference)
        return any(
            is_mended(h.error, errors(h.truth, run(h.feeds)))
            and (not mend.rounding or exceeds(h.error, h.own))
            for h in heard
        )


def _evaluation(
    artifact: OnnxArtifact, reference: Reference
) -> Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]:
    session = LazyFloat64(artifact, reference.signature)
    return lambda feeds: reference.kept(session.run(feeds), feeds)
