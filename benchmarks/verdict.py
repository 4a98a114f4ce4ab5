"""What the verdict of the parity check rests on: how far right files are off, how near wrong ones.

    python benchmarks/verdict.py [--cases N] [--mutants N] [--json FILE]

1. Right files: the models of the tests and single operators with long sums. Columns: cases; the
   worst error over the yardstick; over the yardstick with the noise of the input; cases held only
   on appeal; cases that differ (there should be none).
2. Wrong files: one weight of the trained digits CNN moved. Columns: how many of the mutants the
   cases find, and how many they and the audit of the weights find together.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import toolkit
from toolkit import versions
from toolkit.artifact import open_artifact
from toolkit.errors import OnnxportError
from toolkit.parity.cases import plan
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance, judge
from toolkit.pipeline.candidates import candidate_file
from toolkit.pipeline.references import reference_model
from toolkit.quantization import cpu
from toolkit.source import load
from toolkit.zoo.cnn import build

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
from digits import digits
from digits_cnn import train
from tests import models

Made = tuple[nn.Module, str]


class Op(nn.Module):
    """One function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


IMAGE = "x: float32[batch, 2, h, h] in 0..1\nwhere batch = 1..2, h = 8..224 step 8"
ROW = "x: float32[batch, n] in 0..1\nwhere batch = 1..4, n = 16..50176 step 16"
OPEN = "x: float32[batch, 64]\nwhere batch = 1..16"
OPERATORS: dict[str, Made] = {
    "mean over height and width": (Op(lambda x: x.mean((2, 3))), IMAGE),
    "sum over a row": (Op(lambda x: x.sum(-1)), ROW),
    "cumsum": (Op(lambda x: x.cumsum(-1)), ROW),
    "logsumexp": (Op(lambda x: x.logsumexp(-1)), ROW),
    "softmax": (nn.Softmax(-1), ROW),
    "layer norm": (Op(lambda x: nn.functional.layer_norm(x, (64,))), OPEN),
    "instance norm": (nn.InstanceNorm2d(2), IMAGE),
    "group norm": (nn.GroupNorm(2, 2), IMAGE),
    "gram matrix": (Op(lambda x: x @ x.transpose(0, 1)), ROW),
    "gelu": (nn.GELU(), OPEN),
    "sine of large angles": (Op(lambda x: torch.sin(1000 * x)), OPEN),
}
RIGHT: dict[str, Made] = {
    make.__name__.replace("_", " "): make()
    for make in (
        models.linear,
        models.encoder,
        models.recurrent,
        models.tokens,
        models.normalized,
        models.convolutional,
    )
} | OPERATORS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=128, help="for each right file")
    parser.add_argument("--mutants", type=int, default=60, help="for each size of change")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    found: dict[str, Any] = {"versions": versions.installed(), "processor": cpu.describe()}
    print(found["processor"], *(f"{n} {v}" for n, v in found["versions"].items()), sep=", ")
    with tempfile.TemporaryDirectory() as folder:
        found["right"] = list(right(Path(folder), options.cases))
        show("right files", found["right"])
        found["wrong"] = list(wrong(Path(folder), options.mutants))
        show("wrong files: one weight of the digits CNN moved", found["wrong"])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{v:.1f}" if isinstance(v, float) else str(v) for v in row.values()))
    print()
    Console(soft_wrap=True, highlight=False, width=120).print(table)


def right(folder: Path, cases: int) -> Iterator[dict[str, Any]]:
    for number, (name, made) in enumerate(RIGHT.items()):
        path = folder / f"{number}.onnx"
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                toolkit.export(made, path, budget=5.0)
        except OnnxportError as error:
            yield {"model": name, "cases": 0, "alone": "-", "with noise": error.hint[:60]}
            continue
        yield {"model": name, **ratios(path, made, cases)}


def ratios(path: Path, made: Made, cases: int) -> dict[str, Any]:
    """The worst error over the yardstick, without and with what the check allows on top."""
    model, artifact = load(made), open_artifact(path)
    reference = reference_model(model)
    alone = 0.0
    noisy = 0.0
    traced = artifact.provenance.traced
    planned = plan(model.signature, traced=traced, limit=cases, special=False)
    with candidate_file(artifact, model.signature, runtime="onnxruntime", device="cpu") as opened:
        runs = opened.session
        for case in planned:
            feeds = case.feeds(model.signature)
            expected, got = reference.expect(feeds), runs.run(feeds)
            noise = reference.noise(case, feeds, expected).spread
            for output, plain in expected.plain.items():
                if plain.dtype != np.float32:
                    continue
                arguments = (output, got[output], plain, expected.truth[output], Tolerance())
                alone = max(alone, judge(*arguments).ratio)
                noisy = max(noisy, judge(*arguments, noise=noise[output]).ratio)
    report = toolkit.check(path, against=model, limit=cases, budget=120.0)
    appealed = sum(r.holds and r.rounding for r in report.results)
    return {
        "cases": len(planned),
        "alone": alone,
        "with noise": noisy,
        "on appeal": appealed,
        "differ": len(report.failures),
    }


def wrong(folder: Path, mutants: int) -> Iterator[dict[str, Any]]:
    torch.manual_seed(0)
    model, signature = build(size=8)
    (images, labels), _ = digits()
    train(model, images, labels, epochs=30)
    path = folder / "digits.onnx"
    toolkit.export((model.eval(), signature), path, budget=5.0)
    rng = np.random.default_rng(0)
    for change in (1e-2, 1e-3, 1e-4):
        by_cases = by_both = 0
        for _ in range(mutants):
            report = mutated(path, model, change, rng)
            by_cases += bool(report.failures)
            by_both += not report.holds
        yield {
            "change": f"{100 * change:g} %",
            "mutants": mutants,
            "found by cases": by_cases,
            "found in all": by_both,
        }


def mutated(path: Path, model: nn.Module, change: float, rng: np.random.Generator) -> ParityReport:
    """The check of a copy in which one element of one tensor, both drawn, is off by `change`."""
    proto = onnx.load(str(path))
    floats = [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    tensor = floats[rng.integers(len(floats))]
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[rng.integers(array.size)] *= 1 + change
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    copy = path.with_name("mutant.onnx")
    onnx.save(proto, str(copy))
    return toolkit.check(copy, against=model, limit=32)


if __name__ == "__main__":
    main()
