"""What a failing check says beyond its verdict: where, who is to blame, and what shows it alone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifact import OnnxArtifact
from toolkit.errors import OnnxportError
from toolkit.parity.located import Located
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.localize import locate
from toolkit.pipeline.reduce import reduce
from toolkit.pipeline.sensitivity import layers_of
from toolkit.pipeline.stages import of_stages

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


def explained(
    report: ParityReport,
    artifact: OnnxArtifact,
    reference: Reference,
    *,
    original: OnnxArtifact | None = None,
    model: LoadedModel | None = None,
    runtime: str = "onnxruntime",
    tolerance: Tolerance | None = None,
    reduced: Path | None = None,
    seconds: float,
) -> ParityReport:
    """The report with where it departs; with a note instead where that cannot be told.

    `original` or `model` is what `reference` runs; `runtime` is the one that was checked.
    `reduced` is the folder for a reproduction. To locate it, to export the model again and to
    reduce it each take `seconds` at most, about (a file of gigabytes is located for longer, see
    `localize.SLOWEST`); the verdict never changes.
    """
    try:
        if report.fidelity and not report.failures:
            case = report.results[0].case
            layers = layers_of(artifact, reference, case, original=original, seconds=seconds)
            return replace(report, located=Located(profile=layers, case=str(case)))
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
    if model and found and found.inside and told and not told.blame:
        with suppress(OnnxportError):  # it cannot be exported again: nothing is known of stages
            stage = of_stages(model, found.inside, seconds=seconds)
            told = replace(told, blame=(stage,) if stage else ())
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
