"""Recurrent models of the zoo: ONNX Runtime on the exported float32 file beside eager PyTorch.

    python benchmarks/recurrent.py [--budget SECONDS] [--exporter NAME] [--json FILE]

Medians over rounds in which both take a turn; the ratio is the median of the ratios of the rounds.
Rows have random lengths in 1..128, which at the time given count at most that many steps. Run it on
an idle machine: PyTorch's threads wait for each other at every step, and one that is kept from its
core costs eager mode up to 100 times as long (OMP_NUM_THREADS=1 has none to wait for).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import toolkit
from toolkit import versions, zoo
from toolkit.pipeline.portfolio import default_order
from toolkit.quantization import cpu

MODELS: dict[str, dict[str, int]] = {
    "default": {"steps": 128},
    "bigger": {"steps": 128, "features": 64, "hidden": 256},
}
SIZES = [{"batch": batch, "time": time} for batch in (1, 16) for time in (10, 100)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", type=float, default=8.0, help="seconds for each model")
    parser.add_argument("--exporter", action="append", help="in place of the default order")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    found: dict[str, Any] = {"versions": versions.installed(), "processor": cpu.describe()}
    print(found["processor"], *(f"{n} {v}" for n, v in found["versions"].items()), sep=", ")
    exporters = tuple(options.exporter or default_order())
    with tempfile.TemporaryDirectory() as folder:
        found["rows"] = [
            row
            for name in ("rnn", "lstm", "gru")
            for size, arguments in MODELS.items()
            for row in timed(name, size, arguments, Path(folder), exporters, options.budget)
        ]
    show(found["rows"])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def timed(
    name: str,
    size: str,
    arguments: dict[str, int],
    folder: Path,
    exporters: tuple[str, ...],
    budget: float,
) -> list[dict[str, Any]]:
    module, signature = zoo.build(name, **arguments)
    path = folder / f"{name}_{size}.onnx"
    with contextlib.redirect_stderr(io.StringIO()):
        exported = toolkit.export((module.eval(), signature), path, exporters=exporters, budget=2.0)
    timings = toolkit.bench((module, signature), path, sizes=SIZES, budget=budget)
    pairs = zip(timings[::2], timings[1::2], strict=True)
    return [
        {
            "model": f"{name}, {size}",
            "exporter": exported.artifact.provenance.exporter,
            **eager.sizes,
            "pytorch us": 1e6 * eager.seconds,
            "onnxruntime us": 1e6 * onnx.seconds,
            "ratio": f"{onnx.ratio:.2f}x",
        }
        for eager, onnx in pairs
    ]


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if number > 1 else "left")
    for row in rows:
        table.add_row(*(f"{v:.0f}" if isinstance(v, float) else str(v) for v in row.values()))
    print()
    Console(soft_wrap=True, highlight=False, width=120).print(table)


if __name__ == "__main__":
    main()
