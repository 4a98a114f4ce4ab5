"""One mutant or one right rewrite before the check, and a mutant before the checks of peers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from benchmarks.harness import Row, since
from benchmarks.mutants import Mutant
from benchmarks.mutants.originals import originals
from benchmarks.mutants.right import rewritten
from toolkit import plugins, source
from toolkit.artifact import OnnxArtifact, open_artifact
from toolkit.errors import OnnxportError
from toolkit.examples import Feeds, sample
from toolkit.parity.cases import Case, plan
from toolkit.parity.reference import Reference
from toolkit.pipeline.subjects import Renamed
from toolkit.signature import Signature

BUDGET = 30.0
"""Seconds for a check: the default of `onnxport check`."""

CASES = 1_000

_ROUNDING = 1e-12
"""Of an output's largest value: what float64 sums of thousands of terms differ by."""

ATOLS = {"1e-5": 1e-5, "1e-4": 1e-4, "1e-3": 1e-3}
"""What peers allow; with numpy's rtol of 1e-5, as optimum has it."""

FOUND, MISSED, EQUIVALENT, BROKEN = "found", "missed", "equivalent", "does not load"
HOLDS = "holds"
"""Missed or equivalent: which of them was not asked."""

NODE, MODULE, ELSEWHERE, NOWHERE = "node", "within its module", "elsewhere", "nowhere"
"""How near a departure is told; NODE is the one that was changed, or one that reads it."""


class Original:
    """A right file, and the PyTorch module that it is held against."""

    def __init__(self, name: str, folder: Path) -> None:
        from toolkit.pipeline.portfolio import Plan, export_model
        from toolkit.pipeline.references import reference_model

        self.name = name
        self.model = source.load(originals()[name]())
        self.reference: Reference = reference_model(self.model)
        folder = folder / name
        folder.mkdir()
        path = folder / "model.onnx"
        made = export_model(
            self.model,
            self.reference,
            path,
            Plan(("onnxport", "dynamo")),
            budget=5.0,
            log=folder / "log",
        )
        self.artifact = made.artifact
        self.proto: ModelProto = onnx.load(str(path))
        shapes = onnx.shape_inference.infer_shapes(self.proto)
        del self.proto.graph.value_info[:]
        self.proto.graph.value_info.extend(shapes.graph.value_info)


def judged(original: Original, mutant: Mutant, locate: bool, alone: bool = False) -> Row:
    """Runs in a child: found or not, and if not whether there is anything to find.

    `alone`: only whether and where it is found, neither by peers nor whether it is equivalent.
    """
    from toolkit.pipeline.explain import explained
    from toolkit.pipeline.held import check_artifact

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant.onnx")
        onnx.save(mutant.model, str(path))
        try:
            artifact = open_artifact(path, original.reference.signature)
            plugins.runtime("onnxruntime").load(artifact, "cpu")
        except OnnxportError as error:
            return {"outcome": BROKEN, "reason": error.message[:200]}
        row: Row = {} if alone else {"peers": by_peers(original, artifact)}
        start = time.perf_counter()
        report = check_artifact(
            artifact, original.reference, "", budget=BUDGET, seed=1, fail_fast=True
        )
        row |= {"reason": report.reason[:200], "seconds": since(start)}
        if report.holds and alone:
            return {**row, "outcome": HOLDS}
        if report.holds:
            same, seen = equivalent(original, artifact)
            return {**row, "outcome": EQUIVALENT if same else MISSED, "cases": seen}
        row |= {"outcome": FOUND, "by": "cases" if report.failures else "weights"}
        if locate:
            told = explained(report, artifact, original.reference, seconds=BUDGET / 2).located
            departure = told.departure if told else None
            row |= {"grade": _grade(mutant, departure), "departs": str(departure)}
        return row


def _grade(mutant: Mutant, departure: Any) -> str:
    """How near the place where it departs is to what was changed."""
    from toolkit.optimize.naming import path

    if departure is None:
        return NOWHERE
    changed = [n for n in mutant.model.graph.node if _names(n) & {*mutant.nodes}]
    made = {name for n in changed for name in n.output}
    readers = {n.name for n in mutant.model.graph.node if made & set(n.input)}
    if departure.node in {*(n.name for n in changed), *readers}:
        return NODE
    modules = {path(n) for n in changed} - {""}
    inside = any(f".{departure.module}".endswith(f".{m}") for m in modules)
    return MODULE if inside else ELSEWHERE


def _names(node: onnx.NodeProto) -> set[str]:
    """Its own, and those of the nodes in its subgraphs: an If, a Loop or a Scan is one node."""
    inner = (n for a in node.attribute for n in a.g.node)
    return {node.name}.union(*map(_names, inner))


def equivalent(original: Original, mutant: OnnxArtifact) -> tuple[bool, int]:
    """Can 1,000 cases in float64 not tell them apart, and on how many was it seen?

    A file that has no float64 evaluation (packed sequences) is the same where ONNX Runtime returns
    the same bits.
    """
    try:
        return _told_apart(original, mutant, "reference-float64", _ROUNDING)
    except OnnxportError:
        return _told_apart(original, mutant, "onnxruntime-unoptimized", 0.0)


def by_peers(original: Original, mutant: OnnxArtifact) -> list[str]:
    """The tolerances with which one run at the traced shape finds that something is wrong."""
    reference = original.reference
    _, feeds = sample(reference.signature, reference.given)
    session = Renamed(
        plugins.runtime("onnxruntime").load(mutant, "cpu"), reference.signature, mutant
    )
    expected = reference.plain.run(feeds)
    try:
        got = session.run(feeds)
    except OnnxportError:
        return list(ATOLS)
    return [
        text
        for text, atol in ATOLS.items()
        if not all(
            got[n].shape == a.shape and np.allclose(a, got[n], atol=atol, equal_nan=True)
            for n, a in expected.items()
        )
    ]


def _told_apart(
    original: Original, mutant: OnnxArtifact, runtime: str, rounding: float
) -> tuple[bool, int]:
    signature, given = original.reference.signature, original.reference.given
    ours, theirs = (
        Renamed(plugins.runtime(runtime).load(a, "cpu"), signature, a)
        for a in (original.artifact, mutant)
    )
    for seen, case in enumerate(_drawn(signature, given), 1):
        feeds = case.feeds(signature, given)
        expected, got = ours.run(feeds), theirs.run(feeds)
        if any(not _same(expected[n], got[n], rounding) for n in expected):
            return False, seen
    return True, CASES


def _drawn(signature: Signature, given: Sequence[Feeds]) -> Iterator[Case]:
    """`CASES` of the domain: where a plan has fewer, as sizes are few, other values at each."""
    plans = (plan(signature, seed=CASES * n, limit=CASES, given=given) for n in count(1))
    return islice(chain.from_iterable(plans), CASES)


def _same(expected: np.ndarray, got: np.ndarray, rounding: float) -> bool:
    if expected.shape != got.shape:
        return False
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    return bool(np.allclose(got, expected, rtol=0.0, atol=rounding * scale, equal_nan=True))


def unharmed(original: Original, name: str) -> Row:
    """Runs in a child: a right rewrite under the whole check."""
    from toolkit.pipeline.held import check_artifact

    proto = rewritten(original.proto, name)
    if proto is None:
        return {"outcome": "does not apply"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "right.onnx")
        onnx.save(proto, str(path))
        try:
            artifact = open_artifact(path, original.reference.signature)
            plugins.runtime("onnxruntime").load(artifact, "cpu")
        except OnnxportError as error:
            return {"outcome": "does not apply", "reason": error.message[:200]}
        start = time.perf_counter()
        report = check_artifact(artifact, original.reference, "", budget=BUDGET, seed=1)
        outcome = HOLDS if report.holds else "false alarm"
        return {"outcome": outcome, "reason": report.reason[:300], "seconds": since(start)}
