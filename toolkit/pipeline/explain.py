"""What a failing check says beyond its verdict: where, who is to blame, and what shows it alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toolkit.artifact import OnnxArtifact
from toolkit.errors import OnnxportError
from toolkit.parity.located import Located
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.localize import locate
from toolkit.pipeline.reduce import reduce


def explained(
    report: ParityReport,
    artifact: OnnxArtifact,
    reference: Reference,
    *,
    original: OnnxArtifact | None = None,
    runtime: str = "onnxruntime",
    tolerance: Tolerance | None = None,
    reduced: Path | None = None,
    seconds: float,
) -> ParityReport:
    """The report with where it departs; with a note instead where that cannot be told.

    `original` is the file that `reference` runs, where it is one; `runtime` is the one that was
    checked. `reduced` is the folder for a reproduction. It takes about `seconds`, twice that with
    a reproduction, and never changes the verdict.
    """
    try:
        found = locate(
            report,
            artifact,
            reference,
            original=original,
            runtime=runtime,
            tolerance=tolerance,
            seconds=seconds,
        )
    except Exception as error:  # whatever a stranger's module or graph does here: it was judged
        return _noted(report, f"not located: {_text(error)}")
    told = found.located if found else None
    if reduced is None:
        return replace(report, located=told)
    try:
        shown = reduce(found, reduced, seconds=seconds)
    except Exception as error:
        return _noted(replace(report, located=told), f"not reduced: {_text(error)}")
    return replace(report, located=replace(told or Located(), reproduction=str(shown)))


def _noted(report: ParityReport, note: str) -> ParityReport:
    return replace(report, notes=(*report.notes, note))


def _text(error: Exception) -> str:
    return error.message if isinstance(error, OnnxportError) else repr(error)
