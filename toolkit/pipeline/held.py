"""An open candidate held against an open reference: the check itself."""

from __future__ import annotations

from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import atomic
from toolkit.artifact import OnnxArtifact
from toolkit.examples import Feeds
from toolkit.inference.data import Data, read_arrays
from toolkit.isolation import Worker
from toolkit.parity import rearranged
from toolkit.parity.cases import GIVEN, Case, plan
from toolkit.parity.compare import compare, smallest
from toolkit.parity.dependence import idle_problems
from toolkit.parity.fidelity import Budget
from toolkit.parity.flaw import Flaw
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.relating import relate
from toolkit.parity.results import Invariance, ParityReport
from toolkit.parity.settings import unsettled
from toolkit.parity.verdict import Tolerance
from toolkit.parity.weights import damaged, unrelated
from toolkit.pipeline.candidates import Candidate, candidate_file
from toolkit.pipeline.mended import unseen
from toolkit.pipeline.rows import over_budget, tallied
from toolkit.pipeline.subjects import ONNXRUNTIME
from toolkit.progress import SILENT, Listener

_ANYTHING = Tolerance(atol=inf)
"""For lossy candidates: only shapes, dtypes and NaN are judged case by case."""

_UNRELATED = (
    "all weights are others than the original's: pass its --weights,"
    " or seed a source that draws them at random"
)

RELATING = 0.25
"""The share of the budget that goes, on top, into other ways to the same answers."""

MENDING = 0.25
"""The share of the budget that goes, on top, into faults that no output shows, if any is suspected.
"""

SHRINKING = 0.25
"""The share of the budget that goes, on top, into making the first failure small."""


def check_artifact(
    artifact: OnnxArtifact,
    reference: Reference,
    name: str,
    *,
    runtime: str = ONNXRUNTIME,
    device: str = "cpu",
    worker: Worker | None = None,
    **checks: Any,
) -> ParityReport:
    """The check of an open file against an open reference called `name`; see `check_candidate`."""
    opening = candidate_file(
        artifact, reference.signature, runtime=runtime, device=device, worker=worker
    )
    with opening as candidate:
        return check_candidate(candidate, reference, name, **checks)


def check_candidate(
    candidate: Candidate,
    reference: Reference,
    name: str,
    *,
    data: Data | None = None,
    budget: float = 30.0,
    modest: float = inf,
    seed: int = 0,
    limit: int = 128,
    case: str = "",
    save: Path | str | None = None,
    shrinking: bool = False,
    relating: bool = False,
    tolerance: Tolerance | None = None,
    fidelity: Budget | None = None,
    fail_fast: bool = False,
    measured: bool = True,
    listener: Listener = SILENT,
) -> ParityReport:
    """The check itself, of an open candidate against an open reference called `name`."""
    signature, made = reference.signature, candidate.made
    lossy = fidelity is not None or (made.lossy and tolerance is None)
    cases = (
        _one(case, reference)
        if case
        else _recorded(reference, lossy)
        or plan(
            signature,
            traced=made.traced,
            boundaries=made.boundaries,
            seed=seed,
            limit=limit,
            given=reference.given,
            special=not lossy,
        )
    )
    judging = partial(
        Judge,
        reference,
        _ANYTHING if lossy else tolerance or Tolerance(),
        exact=candidate.exact,
        internal=candidate.internal,
        ordered=candidate.ordered,
    )
    judge = judging(declared=candidate.declared)
    evidence = compare(
        candidate.session,
        reference,
        judge,
        cases,
        budget=budget,
        modest=modest,
        fail_fast=fail_fast,
        measured=measured,
        progress=listener.progress,
    )
    failures = [r for r in evidence.results if not r.holds]
    vacuous, said = evidence.vacuous(), list[str]()
    if not failures and not vacuous:
        done = [r.case for r in evidence.results]
        vacuous, said = idle_problems(reference, done, candidate.unused, varied=evidence.varied)
    related: tuple[Invariance, ...] = ()
    if relating and not failures and not vacuous:
        seconds = RELATING * budget
        related = relate(
            candidate.session,
            reference,
            judging(),
            evidence.results,
            lossy=lossy,
            seconds=seconds,
        )
    problems = [*candidate.problems, *vacuous, *(i.reason for i in related if i.reason)]
    flaws: list[Flaw] = []
    notes = [*reference.notes, *evidence.notes, *said]
    if not lossy and not (tolerance and tolerance.explicit):
        original, found = reference.weights(), candidate.weights()
        flaws += damaged(original, found) + rearranged.damaged(original, found)
        flaws += unsettled(reference.settings(), candidate.settings(), original)
        if unrelated(original, found):
            notes.append(_UNRELATED)
        if candidate.file and not failures and not problems and not flaws:
            proven = [r for r in evidence.results if r.proven]
            seconds = MENDING * budget
            flaws += unseen(candidate.file, reference, proven, seconds=seconds)
    notes += [note for note in candidate.notes if note not in notes]
    problems += [flaw.told for flaw in flaws]
    tally, meanings = evidence.tally, evidence.meanings
    if lossy and data:
        tally, meanings = tallied(candidate.session, reference, data)
    if lossy:
        problems += over_budget(tally, fidelity or Budget())
    least = None
    if failures and shrinking:
        least = smallest(
            candidate.session, reference, judge, failures[0], seconds=SHRINKING * budget
        )
    if failures and save:
        _save((least or failures[0]).case.feeds(signature, reference.given), Path(save))
    return ParityReport(
        candidate=candidate.name,
        reference=name,
        signature=signature,
        device=candidate.session.device,
        results=tuple(evidence.results),
        unreached=tuple(evidence.unreached),
        problems=tuple(problems),
        flaws=tuple(flaws),
        notes=tuple(notes),
        scales=evidence.scales,
        fidelity=tally.result() if lossy else (),
        measures=() if lossy else evidence.measuring.result(),
        meanings=meanings.result(),
        invariances=related,
        repeated=reference.repeating.result(),
        smallest=least,
    )


def _recorded(reference: Reference, lossy: bool) -> list[Case]:
    """The cases of a recording; of those that a lossy file is judged by, the usual ones."""
    usual = ("fill=uniform", "fill=given")
    return [c for c in reference.cases if not lossy or any(f in c.origin for f in usual)]


def _one(text: str, reference: Reference) -> list[Case]:
    """The case of a text, or of a file of arrays, which then is the only given example."""
    if not text.endswith(".npz"):
        return [Case.parse(text, reference.signature)]
    names = [s.name for s in reference.signature.inputs]
    feeds = {name: np.array(array) for name, array in read_arrays(text, names).items()}
    sizes = reference.signature.validate(feeds)
    reference.given = (feeds,)
    return [Case(tuple(sizes.items()), GIVEN, 0, origin=text)]


def _save(feeds: Feeds, path: Path) -> None:
    with atomic.replacing(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **feeds)  # type: ignore[arg-type]  # one might be allow_pickle
