"""How good the parity check is: faulty files that it finds, right ones that it leaves alone.

    python benchmarks/mutation.py [--each 3] [--models REGEX] [--jobs 2] [--locate]

Mutants: every kind of `mutants/` at up to `--each` places of every original. One that the check
does not find is compared with the original in float64 on 1,000 cases: where these cannot tell the
two apart, it is equivalent, and no fault. `--locate` also asks where each departs. Right rewrites:
each of `mutants/right.py` on every original; whatever differs there is a false alarm.

Results go to build/mutation/*.jsonl as they come: the same command does what is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
from benchmarks import harness
from benchmarks.harness import Row, rows, since
from benchmarks.mutants import Mutant, kinds, mutants
from benchmarks.mutants.originals import originals
from benchmarks.mutants.right import REWRITES, rewritten
from toolkit import plugins, source, versions
from toolkit.artifact import OnnxArtifact, open_artifact
from toolkit.errors import OnnxportError
from toolkit.parity.cases import plan
from toolkit.parity.reference import Reference

RESULTS = Path("build/mutation")
BUDGET = 30.0
"""Seconds for a check: the default of `onnxport check`."""

LIMIT = 240.0
"""Seconds for one mutant in all, its float64 evaluation included."""

CASES = 1_000
PATIENCE = 60.0
"""Seconds for these: images of 200 pixels take seconds each."""

_ROUNDING = 1e-12
"""Of an output's largest value: what float64 sums of thousands of terms differ by."""

FOUND, MISSED, EQUIVALENT, BROKEN = "found", "missed", "equivalent", "does not load"


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


def judged(original: Original, mutant: Mutant, locate: bool) -> Row:
    """Runs in a child: found or not, and if not whether there is anything to find."""
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
        start = time.perf_counter()
        report = check_artifact(
            artifact, original.reference, "", budget=BUDGET, seed=1, fail_fast=True
        )
        row: Row = {"reason": report.reason[:200], "seconds": since(start)}
        if report.holds:
            same, seen = equivalent(original, artifact)
            return {**row, "outcome": EQUIVALENT if same else MISSED, "cases": seen}
        row |= {"outcome": FOUND, "by": "cases" if report.failures else "weights"}
        if locate and report.failures:
            told = explained(report, artifact, original.reference, seconds=BUDGET / 2).located
            departure = told.departure if told else None
            row |= {"grade": _grade(mutant, departure), "departs": str(departure)}
        return row


def _grade(mutant: Mutant, departure: Any) -> str:
    """How near the place where it departs is to what was changed."""
    from toolkit.optimize.naming import path

    if departure is None:
        return "nowhere"
    changed = [n for n in mutant.model.graph.node if _names(n) & {*mutant.nodes}]
    made = {name for n in changed for name in n.output}
    readers = {n.name for n in mutant.model.graph.node if made & set(n.input)}
    if departure.node in {*(n.name for n in changed), *readers}:
        return "node"
    modules = {path(n) for n in changed} - {""}
    inside = any(f".{departure.module}".endswith(f".{m}") for m in modules)
    return "module" if inside else "elsewhere"


def _names(node: onnx.NodeProto) -> set[str]:
    """Its own, and those of the nodes in its subgraphs: an If, a Loop or a Scan is one node."""
    inner = (n for a in node.attribute for n in a.g.node)
    return {node.name}.union(*map(_names, inner))


def equivalent(original: Original, mutant: OnnxArtifact) -> tuple[bool, int]:
    """Can 1,000 cases in float64 not tell them apart, and on how many was it seen?

    On fewer where these take over `PATIENCE`. A file that has no float64 evaluation (packed
    sequences) is the same where ONNX Runtime returns the same bits.
    """
    try:
        return _told_apart(original, mutant, "reference-float64", _ROUNDING)
    except OnnxportError:
        return _told_apart(original, mutant, "onnxruntime-unoptimized", 0.0)


def _told_apart(
    original: Original, mutant: OnnxArtifact, runtime: str, rounding: float
) -> tuple[bool, int]:
    from toolkit.pipeline.subjects import Renamed

    signature, given = original.reference.signature, original.reference.given
    seen, end = 0, time.monotonic() + PATIENCE
    ours, theirs = (
        Renamed(plugins.runtime(runtime).load(a, "cpu"), signature, a)
        for a in (original.artifact, mutant)
    )
    for case in plan(signature, seed=2, limit=CASES, given=given):
        if seen and time.monotonic() > end:
            break
        feeds = case.feeds(signature, given)
        expected, got = ours.run(feeds), theirs.run(feeds)
        seen += 1
        if any(not _same(expected[n], got[n], rounding) for n in expected):
            return False, seen
    return True, seen


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
        outcome = "holds" if report.holds else "false alarm"
        return {"outcome": outcome, "reason": report.reason[:300], "seconds": since(start)}


def in_child(work: Callable[[], Row]) -> Row:
    """A mutant of which the runtime dies is found; one that takes too long was not judged."""

    def guarded() -> Row:
        try:
            return work()
        except Exception as error:
            return {"outcome": "error", "reason": f"{type(error).__name__}: {error}"[:300]}

    found, expired = harness.in_child("a mutant", guarded, LIMIT)
    return found or {
        "outcome": "error" if expired else FOUND,
        "by": "crash",
        "reason": "no answer",
    }


def run(original: Original, each: int, jobs: int, locate: bool) -> None:
    done = {r["key"] for name in ("mutants", "right") for r in rows(RESULTS / f"{name}.jsonl")}
    lock = Lock()

    def keep(file: str, key: str, row: Row) -> None:
        line = json.dumps({"key": key, "model": original.name, **row})
        with lock, (RESULTS / file).open("a") as out:
            out.write(line + "\n")

    def one(work: tuple[str, str, Callable[[], Row], Row]) -> None:
        file, key, judge, row = work
        keep(file, key, row | in_child(judge))

    def todo() -> Iterator[tuple[str, str, Callable[[], Row], Row]]:
        for number, kind in enumerate(kinds().values()):
            rng = np.random.default_rng([number, 7])
            for mutant in mutants(original.proto, kind, rng, each):
                key = f"{original.name}: {kind.name}: {mutant.nodes[0]}"
                if key not in done:
                    row = {"kind": kind.name, "nodes": mutant.nodes}
                    yield "mutants.jsonl", key, (lambda m=mutant: judged(original, m, locate)), row
        for name in REWRITES:
            key = f"{original.name}: {name}"
            if key not in done:
                row = {"rewrite": name}
                yield "right.jsonl", key, (lambda n=name: unharmed(original, n)), row

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo()))


def table() -> None:
    found = list(rows(RESULTS / "mutants.jsonl"))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in found:
        counts[row["kind"]][row["outcome"]] += 1
        counts["all"][row["outcome"]] += 1
    columns = (FOUND, MISSED, EQUIVALENT, BROKEN, "error")
    print(f"{'mutants':<40}" + "".join(f"{c:>14}" for c in columns))
    for kind in [*sorted(k for k in counts if k != "all"), "all"]:
        print(f"{kind:<40}" + "".join(f"{counts[kind][c]:>14}" for c in columns))
    real = counts["all"][FOUND] + counts["all"][MISSED]
    if real:
        by = Counter(r.get("by") for r in found if r["outcome"] == FOUND)
        print(
            f"found {100 * counts['all'][FOUND] / real:.2f} % of {real} that can be told apart"
            f" ({by['cases']} by cases, {by['weights']} by the audit of weights alone)"
        )
    grades = Counter(r["grade"] for r in found if "grade" in r)
    if located := sum(grades.values()):
        near = grades["node"] + grades["module"]
        print(
            f"located {100 * near / located:.1f} % of {located}"
            f" ({grades['node']} at the node or its reader, {grades['module']} in its module,"
            f" {grades['elsewhere']} elsewhere, {grades['nowhere']} nowhere)"
        )
    same = [r["cases"] for r in found if r["outcome"] == EQUIVALENT]
    if same:
        whole = sum(n >= CASES for n in same)
        print(f"equivalent: {whole} seen on {CASES} cases, the others on {min(same)} or more")
    right = Counter(r["outcome"] for r in rows(RESULTS / "right.jsonl"))
    print(
        f"right rewrites: {right['holds']} hold, {right['false alarm']} false alarms"
        f" ({right['does not apply']} do not apply)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=3, help="mutants of a kind and a model")
    parser.add_argument("--models", default="", metavar="REGEX")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--locate", action="store_true", help="and where they depart")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not options.table:
        import torch

        torch.set_num_threads(1)
        harness.without_processes()
        with tempfile.TemporaryDirectory() as folder:
            for name in originals():
                if re.search(options.models, name):
                    print(name, file=sys.stderr, flush=True)
                    run(Original(name, Path(folder)), options.each, options.jobs, options.locate)
    print(", ".join(f"{n} {v}" for n, v in versions.installed().items()))
    table()


if __name__ == "__main__":
    main()
