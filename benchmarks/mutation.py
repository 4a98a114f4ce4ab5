"""How good the parity check is: faulty files that it finds, right ones that it leaves alone.

    pip install --no-deps onnxslim==0.1.98    # one of the rewrites; nothing else needs it
    python benchmarks/mutation.py [--each 4] [--models REGEX] [--jobs 2] [--locate | --only-locate]

Mutants: every kind of `mutants/` at up to `--each` places of every original. One that the check
does not find is compared with the original in float64 on 1,000 cases: where these cannot tell the
two apart, it is equivalent, and no fault. `--locate` also asks where each departs, `--only-locate`
nothing else, which takes a third of the time. Beside it stands what peers check: one case at the
traced shape, with an absolute tolerance. Right rewrites: each of `mutants/right.py` on every
original; whatever differs there is a false alarm.

Results go to build/mutation/*.jsonl as they come (of `--only-locate` to build/located): the same
command does what is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
from benchmarks import harness
from benchmarks.harness import Row, rows
from benchmarks.mutants import kinds, mutants
from benchmarks.mutants.judged import (
    ATOLS,
    BROKEN,
    ELSEWHERE,
    EQUIVALENT,
    FOUND,
    HOLDS,
    MISSED,
    MODULE,
    NODE,
    NOWHERE,
    Original,
    judged,
    unharmed,
)
from benchmarks.mutants.originals import originals
from benchmarks.mutants.right import REWRITES
from toolkit import versions

RESULTS, LOCATED = Path("build/mutation"), Path("build/located")
ALL = "all"

LIMIT = 3_600.0
"""Seconds for one mutant in all: 1,000 cases in float64 are minutes where it is a real model."""

AT_MOST = {
    "speaker encoder (trained)": 2,
    "EfficientNet-lite0 (trained)": 1,
    "MiniLM (trained)": 1,
}
"""Mutants of a kind: those of a real model take up to a minute each."""


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


def run(
    original: Original, each: int, jobs: int, folder: Path, *, locate: bool, alone: bool
) -> None:
    done = {r["key"] for name in ("mutants", "right") for r in rows(folder / f"{name}.jsonl")}
    lock = Lock()

    def keep(file: str, key: str, row: Row) -> None:
        line = json.dumps({"key": key, "model": original.name, **row})
        with lock, (folder / file).open("a") as out:
            out.write(line + "\n")

    def one(work: tuple[str, str, Callable[[], Row], Row]) -> None:
        file, key, judge, row = work
        keep(file, key, row | in_child(judge))

    def todo() -> Iterator[tuple[str, str, Callable[[], Row], Row]]:
        for number, kind in enumerate(kinds().values()):
            rng = np.random.default_rng([number, 7])
            most = min(each, AT_MOST.get(original.name, each))
            for mutant in mutants(original.proto, kind, rng, most):
                key = f"{original.name}: {kind.name}: {mutant.nodes[0]}"
                if key not in done:
                    row = {"kind": kind.name, "nodes": mutant.nodes}
                    judge = partial(judged, original, mutant, locate, alone)
                    yield "mutants.jsonl", key, judge, row
        for name in () if alone else REWRITES:
            key = f"{original.name}: {name}"
            if key not in done:
                row = {"rewrite": name}
                yield "right.jsonl", key, partial(unharmed, original, name), row

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo()))


def table(folder: Path) -> None:
    found = list(rows(folder / "mutants.jsonl"))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in found:
        real = row["outcome"] in (FOUND, MISSED)
        peers = row.get("peers", ()) if real else ()
        for kind in (row["kind"], ALL):
            counts[kind].update([row["outcome"], *peers])
    asked = (FOUND, HOLDS) if folder == LOCATED else (FOUND, MISSED, *ATOLS, EQUIVALENT)
    columns = (*asked, BROKEN, "error")
    print(f"{'mutants':<40}" + "".join(f"{c:>{_width(c)}}" for c in columns))
    for kind in [*sorted(k for k in counts if k != ALL), ALL]:
        print(f"{kind:<40}" + "".join(f"{counts[kind][c]:>{_width(c)}}" for c in columns))
    summary(found, counts[ALL])
    if folder == RESULTS:
        harmless()


def _width(heading: str) -> int:
    return max(len(heading), 6) + 2


def summary(found: list[Row], outcomes: Counter[str]) -> None:
    real = outcomes[FOUND] + outcomes[MISSED]
    if real and not outcomes[HOLDS]:
        by = Counter(r.get("by") for r in found if r["outcome"] == FOUND)
        print(
            f"found {100 * outcomes[FOUND] / real:.2f} % of {real} that can be told apart"
            f" ({by['cases']} by cases, {by['weights']} by the audits alone)"
        )
        shares = (f"{100 * outcomes[a] / real:.1f} % with atol {a}" for a in ATOLS)
        print(f"one case at the traced shape finds {', '.join(shares)}")
    grades = Counter(r["grade"] for r in found if "grade" in r)
    if located := sum(grades.values()):
        others = ", ".join(f"{grades[g]} {g}" for g in (MODULE, ELSEWHERE, NOWHERE))
        print(
            f"located {100 * grades[NODE] / located:.1f} % of {located}"
            f" at the node that was changed or one that reads it ({others})"
        )
    if same := [r["cases"] for r in found if r["outcome"] == EQUIVALENT]:
        print(f"equivalent: {len(same)}, each the same in float64 on {min(same)} cases")


def harmless() -> None:
    tried = list(rows(RESULTS / "right.jsonl"))
    right = Counter(r["outcome"] for r in tried)
    print(
        f"right rewrites of {len({r['model'] for r in tried})} models: {right[HOLDS]} hold,"
        f" {right['false alarm']} false alarms ({right['does not apply']} do not apply)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=4, help="mutants of a kind and a model")
    parser.add_argument("--models", default="", metavar="REGEX")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--locate", action="store_true", help="and where they depart")
    parser.add_argument("--only-locate", action="store_true", help="nothing but where they depart")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    options = parser.parse_args()
    alone, locate = options.only_locate, options.locate or options.only_locate
    results = LOCATED if alone else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    if not options.table:
        import torch

        if not alone:
            import onnxslim  # noqa: F401 - else its rewrites would not apply, and nobody would know

        torch.set_num_threads(1)
        harness.without_processes()
        with tempfile.TemporaryDirectory() as folder:
            for name in originals():
                if re.search(options.models, name):
                    print(name, file=sys.stderr, flush=True)
                    original = Original(name, Path(folder))
                    run(original, options.each, options.jobs, results, locate=locate, alone=alone)
    print(", ".join(f"{n} {v}" for n, v in versions.installed().items()))
    table(results)


if __name__ == "__main__":
    main()
