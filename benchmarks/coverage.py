"""How much of PyTorch comes out, and how much of that is wrong: exporters side by side.

    python benchmarks/coverage.py [--corpus modules] [--exporter ours] [--only REGEX] [--jobs 2]

Each exporter is given each case; what it reports as good is checked against eager PyTorch on cases
that no exporter drew. Results go to build/coverage/*.jsonl as they come: the same command again
does what is missing and prints the table.
"""

from __future__ import annotations

import argparse
import copy
import functools
import hashlib
import json
import re
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import harness
from benchmarks.harness import Row, rows, since

CORPORA = (
    "modules",
    "operators",
    "wholes",
    "architectures",
    "multimodal",
    "bends",
    "vision",
    "packages",
)
EXPORTERS = ("ours", "ours-without-torchscript", "dynamo", "torchscript", "transformers")
RESULTS = Path("build/coverage")
LIMIT = 180.0
"""Seconds for one case by one exporter, the check included."""

OUTCOMES = ("holds", "refuses", "wrong", "crashes", "no case", "no meaning")


def attempt(case: Any, exporter: str) -> Row:
    """Runs in a child: build, export, check on cases of its own."""
    from toolkit import source
    from toolkit.errors import OnnxportError
    from toolkit.pipeline.held import check_artifact
    from toolkit.pipeline.references import reference_model

    if case.meaningless:
        return {"outcome": "no meaning", "reason": case.meaningless}
    try:
        model = source.load(case.build())
        reference = reference_model(model)
        if telling := _tells_nothing(reference):
            return {"outcome": "no case", "reason": telling}
    except Exception as error:
        return {"outcome": "no case", "reason": _line(error)}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            artifact, winner = WAYS[exporter](model, reference, Path(folder))
        except OnnxportError as error:
            reason = f"{_line(error.message)} | {_line(error.hint)}"
            # Seen in a case that was not among those asked before.
            outcome = "no case" if "differs: vacuous" in error.hint else "refuses"
            return {"outcome": outcome, "reason": reason, "seconds": since(start)}
        except Exception as error:
            return {"outcome": "refuses", "reason": _line(error), "seconds": since(start)}
        seconds = since(start)
        try:
            if case.unseen and model.signature.from_data:
                reference = reference_model(source.load(case.unseen()))
            report = check_artifact(
                artifact, reference, model.origin, budget=20.0, seed=7_000, limit=64, fail_fast=True
            )
            reason, outcome = report.reason, "holds" if report.holds else "wrong"
        except OnnxportError as error:
            outcome, reason = "wrong", f"does not load: {_line(error)}"
    return {"outcome": outcome, "reason": reason, "seconds": seconds, "winner": winner}


def _tells_nothing(reference: Any) -> str:
    """Why PyTorch alone, on its own domain, cannot tell right from wrong; "" where it can.

    A question of the case and not of an exporter: it never changes, or refuses what it declares.
    """
    from toolkit.parity.cases import plan
    from toolkit.parity.comparators import Meanings
    from toolkit.parity.compare import Evidence
    from toolkit.parity.results import CaseResult

    evidence = Evidence(Meanings(reference.signature))
    given = reference.given
    for case in plan(reference.signature, seed=7_000, limit=24, given=given, special=False):
        evidence.see(reference.plain.run(case.feeds(reference.signature, given)))
        evidence.results.append(CaseResult(case))
    return next(iter(evidence.vacuous()), "")


def _ours(model: Any, reference: Any, folder: Path, exporters: Any = None) -> tuple[Any, str]:
    from toolkit.pipeline.portfolio import Plan, default_order, export_model

    exported = export_model(
        model,
        reference,
        folder / "model.onnx",
        Plan(tuple(exporters or default_order()), time_limit=LIMIT / 2),
        budget=5.0,
        log=folder / "log",
    )
    return exported.artifact, exported.artifact.provenance.exporter


def _without_torchscript(model: Any, reference: Any, folder: Path) -> tuple[Any, str]:
    from toolkit.pipeline.portfolio import DEFAULT_ORDER

    names = [n for n in DEFAULT_ORDER if n not in ("torchscript", "script")]
    return _ours(model, reference, folder, names)


def _torch(model: Any, reference: Any, folder: Path, *, dynamo: bool) -> tuple[Any, str]:
    """torch.onnx.export as its documentation shows it."""
    import torch

    from exporters.example import axes, example
    from toolkit.artifact import open_artifact
    from toolkit.quiet import printing_to

    specs = (*model.signature.inputs, *model.signature.outputs)
    shapes = [axes(s.shape) for s in model.signature.inputs]
    dynamic: dict[str, Any] = (
        {"dynamic_shapes": (tuple(shapes),) if any(shapes) else None}
        if dynamo
        else {"dynamic_axes": {s.name: axes(s.shape) for s in specs if axes(s.shape)}}
    )
    path = folder / "model.onnx"
    with printing_to(folder / "log"), torch.no_grad():
        torch.onnx.export(
            model.flat(),
            example(model.signature, model.examples),
            str(path),
            dynamo=dynamo,
            input_names=[s.name for s in model.signature.inputs],
            output_names=[s.name for s in model.signature.outputs],
            **dynamic,
        )
    return open_artifact(path, model.signature), "dynamo" if dynamo else "torchscript"


def _dynamo(model: Any, reference: Any, folder: Path) -> tuple[Any, str]:
    return _torch(model, reference, folder, dynamo=True)


def _torchscript(model: Any, reference: Any, folder: Path) -> tuple[Any, str]:
    return _torch(model, reference, folder, dynamo=False)


WAYS: dict[str, Callable[[Any, Any, Path], tuple[Any, str]]] = {
    "ours": _ours,
    "ours-without-torchscript": _without_torchscript,
    "dynamo": _dynamo,
    "torchscript": _torchscript,
    "transformers": lambda model, reference, folder: _ours(
        model, reference, folder, ["transformers"]
    ),
}


def _line(error: Any) -> str:
    text = str(error).strip().splitlines() or [""]
    kind = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
    return (kind + text[0])[:300]


def in_child(case: Any, exporter: str) -> Row:
    def work() -> Row:
        try:
            return attempt(case, exporter)
        except BaseException:
            return {"outcome": "crashes", "reason": traceback.format_exc()[-300:]}

    found, expired = harness.in_child(case.name, work, LIMIT)
    return found or {
        "outcome": "crashes",
        "reason": f"over {LIMIT:g} s" if expired else "no answer",
    }


def drawn(name: str) -> float:
    """A number in 0..1 for every case, always the same: what a share of a corpus consists of."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def run(
    corpus: str, exporters: list[str], only: str, share: float, beyond: float, jobs: int
) -> None:
    _warm_up()
    cases = [
        c
        for c in import_module(f"benchmarks.corpora.{corpus}").cases()
        if re.search(only, c.name) and beyond <= drawn(c.name) < share
    ]
    path = RESULTS / f"{corpus}.jsonl"
    done = {(r["case"], r["exporter"]) for r in rows(path)}
    todo = [(c, [e for e in exporters if (c.name, e) not in done]) for c in cases]
    runs = sum(len(missing) for _, missing in todo)
    print(f"{corpus}: {len(cases)} cases, {runs} runs to do", file=sys.stderr)
    lock = threading.Lock()

    def one(pair: tuple[Any, list[str]]) -> None:
        case, missing = pair
        ours: Row | None = None
        for exporter in missing:
            row = _same(ours, exporter) or in_child(case, exporter)
            ours = row if exporter == "ours" else ours
            line = json.dumps({**row, "case": case.name, "exporter": exporter})
            with lock, path.open("a") as file:
                file.write(line + "\n")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo))


def _same(ours: Row | None, exporter: str) -> Row | None:
    """What ours gave, where TorchScript had no part in it: then it gives the same without."""
    if exporter != "ours-without-torchscript" or ours is None:
        return None
    return None if ours.get("winner") in ("torchscript", "script") else ours


def _warm_up() -> None:
    """Load before the first fork what every child needs, for all exporters alike.

    torch's exporter parses 500 functions again for each export, and asks for all operators three
    times: both are kept, which takes three quarters off the time of a small case.
    """
    import torch
    from torch._export import utils
    from torch.export import exported_program
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    from toolkit import plugins, source
    from toolkit.pipeline.references import reference_model

    torch.set_num_threads(1)
    registries: Any = ONNXRegistry
    fresh = functools.cache(registries.from_torchlib.__func__)

    def from_torchlib(kind: Any, opset_version: int = 20) -> Any:
        registry = copy.copy(fresh(kind, opset_version))
        registry.functions = {op: list(found) for op, found in registry.functions.items()}
        return registry

    registries.from_torchlib = classmethod(from_torchlib)
    operators = functools.cache(utils._collect_all_valid_cia_ops)
    for module in (utils, exported_program):
        vars(module)["_collect_all_valid_cia_ops"] = lambda: set(operators())
    harness.without_processes()
    model = source.load((torch.nn.Linear(2, 2), "x: float32[n, 2]; where n = 1..8"))
    reference = reference_model(model)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("onnxport", "torchscript"):  # here: what a child loads is lost with it
            plugins.exporter(name).export(model, Path(folder, "m.onnx"), opset=20)
        _ours(model, reference, Path(folder), ["onnxport"])


def table(corpus: str, only: str) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(RESULTS / f"{corpus}.jsonl"):
        if re.search(only, row["case"]):
            counts[row["exporter"]][row["outcome"]] += 1
    print(f"\n{corpus:<26}" + "".join(f"{o:>11}" for o in OUTCOMES) + "   of cases")
    for exporter, found in counts.items():
        real = sum(n for o, n in found.items() if o not in ("no case", "no meaning"))
        share = f"{100 * found['holds'] / real:6.1f} %" if real else ""
        print(f"{exporter:<26}" + "".join(f"{found[o]:>11}" for o in OUTCOMES) + f"   {share}")


def main() -> None:
    from toolkit.errors import MissingError

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=CORPORA)
    parser.add_argument("--exporter", action="append", choices=EXPORTERS)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases by name")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, drawn once")
    parser.add_argument("--beyond", type=float, default=0.0, help="leave out this share of them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a case")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    options = parser.parse_args()
    globals().update(RESULTS=options.results, LIMIT=options.limit)
    options.results.mkdir(parents=True, exist_ok=True)
    for corpus in options.corpus or CORPORA:
        if not options.table:
            exporters = options.exporter or list(EXPORTERS[:4])
            try:
                run(corpus, exporters, options.only, options.share, options.beyond, options.jobs)
            except MissingError as error:
                print(f"{corpus}: left out, {error.message}: {error.hint}", file=sys.stderr)
                continue
        table(corpus, options.only)


if __name__ == "__main__":
    main()
