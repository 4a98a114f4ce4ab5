"""What the portfolio costs: an export beside the winning exporter alone, where the first holds.

    python benchmarks/portfolio.py [--rounds 3] [MODEL ...]

In turns, in one process, medians. `alone`: the exporter called by itself. `whole`: toolkit.export,
with its child process, the mending of the file, the check and the fingerprint. `again`: the same
export once more, which finds that nothing has changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

import toolkit
from toolkit import plugins, source, versions
from toolkit.quantization import cpu
from toolkit.report import console

T = TypeVar("T")
MODELS = (
    "zoo:mlp",
    "zoo:cnn",
    "zoo:lstm",
    "zoo:resnet,depth=18",
    "zoo:bert,layers=4",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, help="seconds for the check")
    options = parser.parse_args()
    print(cpu.describe(), *(f"{n} {v}" for n, v in versions.installed().items()), sep=", ")
    rows = [measured(name, options.rounds, options.budget) for name in options.models or MODELS]
    headings = ("model", "exporter", "alone", "written", "checked", "whole", "ratio", "again")
    console.show_table(headings, rows)


def measured(name: str, rounds: int, budget: float | None) -> tuple[str, ...]:
    model = source.load(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        found = toolkit.export(model, path, budget=budget)  # loads what is loaded once
        exporter = plugins.exporter(found.artifact.provenance.exporter)
        alone, whole, written, checked, again = [], [], [], [], []
        for _ in range(rounds):
            raw = Path(folder, "raw.onnx")
            alone.append(taken(lambda: exporter.export(model, raw, opset=20))[0])  # noqa: B023
            path.unlink()
            seconds, exported = taken(lambda: toolkit.export(model, path, budget=budget))
            whole.append(seconds)
            written.append(exported.attempts[-1].seconds)
            checked.append(exported.attempts[-1].checked)
            again.append(taken(lambda: toolkit.export(model, path, budget=budget))[0])
    times = [median(t) for t in (alone, written, checked, whole)]
    ratio = f"{times[3] / times[0]:.2f}x"
    return name, exporter.name, *(f"{t:.2f} s" for t in times), ratio, f"{median(again):.2f} s"


def taken(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
