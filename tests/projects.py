"""A project on disk whose models are checked in a moment, and reports as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests import graphs
from toolkit.parity.cases import Case
from toolkit.parity.fidelity import Fidelity
from toolkit.parity.results import CaseResult, ParityReport
from toolkit.parity.verdict import Judgement
from toolkit.project.lines import Place
from toolkit.project.results import Failure, ModelResult, ProjectReport, StageResult
from toolkit.signature import Signature

SIGNATURE = "x: float32[batch, 4]\nwhere batch = 1..8\n-> y: float32[batch, 4]"

DOUBLE = "(float[batch, 4] x) => (float[batch, 4] y) { y = Add(x, x) }"
SQUARE = "(float[batch, 4] x) => (float[batch, 4] y) { y = Mul(x, x) }"

MODEL = """\
from torch import nn


class Double(nn.Module):
    def forward(self, x):
        return {"y": x + x}


def build():
    return Double().eval()
"""

CONFIG = """\
cases = 6

[models.double]
source = "model.py:build"
file = "double.onnx"

[models.square]
source = "model.py:build"
file = "square.onnx"
"""


def written(folder: Path, config: str = CONFIG) -> Path:
    """A source, a file that holds against it, one that does not, and their config."""
    (folder / "model.py").write_text(MODEL)
    graphs.saved(folder / "double.onnx", DOUBLE, SIGNATURE)
    graphs.saved(folder / "square.onnx", SQUARE, SIGNATURE)
    (folder / "onnxport.toml").write_text(config)
    return folder / "onnxport.toml"


def parity(ratio: float = 0.5, *, holds: bool = True, sqnr: float | None = None) -> ParityReport:
    """Of two cases, the second of which is the worst and may fail."""
    signature = Signature.parse(SIGNATURE)
    first, second = (Case.parse(f"batch={n},fill=uniform,seed=0", signature) for n in (1, 2))
    judged = Judgement("y", holds, 0.25, ratio, "" if holds else "is 2, expected 1 at [0]")
    results = (CaseResult(first, (Judgement("y", True),)), CaseResult(second, (judged,)))
    fidelity = () if sqnr is None else (Fidelity("y", sqnr, 0.99, None, 3),)
    return ParityReport("m.onnx", "model.py:build", signature, "cpu", results, fidelity=fidelity)


def stage(found: ParityReport | Failure | None = None, **facts: Any) -> StageResult:
    """An export that holds, or ends in what was found instead."""
    known = StageResult("export", "cpu", parity(), content="c0ffee" * 10, size=1000)
    if isinstance(found, Failure):
        known = replace(known, report=None, failure=found)
    elif found is not None:
        known = replace(known, report=found)
    return replace(known, **facts)


def model(*stages: StageResult, **facts: Any) -> ModelResult:
    known = ModelResult(
        "m",
        "model.py:build",
        SIGNATURE,
        stages or (stage(),),
        Place("src/model.py", 3),
        source_hash="5" * 64,
        weights_hash="3" * 64,
    )
    return replace(known, **facts)


def report(*models: ModelResult) -> ProjectReport:
    return ProjectReport(models or (model(),), {"torch": "2.13.0"}, "x86_64", "onnxport.toml")
