"""One check of one file as a project of one model, so that every report can be made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from toolkit import versions
from toolkit.errors import OnnxportError
from toolkit.parity.results import ParityReport
from toolkit.project.lines import Place, place_of
from toolkit.project.results import Failure, ModelResult, ProjectReport, StageResult
from toolkit.quantization.cpu import describe


def as_project(
    model: str,
    found: ParityReport | OnnxportError,
    *,
    root: Path,
    name: str = "",
    rerun: str = "",
    seconds: float = 0.0,
) -> ProjectReport:
    """`model`: as it was named; `found`: its report, or the error that the check ended with.
    `name`: what it is called, in place of the last part of that.

    It stands where its original is defined, else at the file itself; places are relative to `root`.
    """
    name = name or Path(model).name
    if isinstance(found, OnnxportError):
        stage = StageResult("check", "cpu", failure=Failure.of(found), seconds=seconds)
        result = ModelResult(name, "", "", (stage,), _place(model, "", root), seconds=seconds)
    else:
        path = Path(model)
        stage = StageResult(
            "check",
            found.device,
            found,
            size=path.stat().st_size if path.is_file() else 0,
            rerun=f"{rerun} --case {quote(str(found.failures[0].case))}"
            if found.failures
            else rerun,
            seconds=seconds,
        )
        place, signature = _place(model, found.reference, root), str(found.signature)
        result = ModelResult(name, found.reference, signature, (stage,), place, seconds=seconds)
    return ProjectReport((result,), versions.installed(), describe(), seconds=seconds)


def together(reports: Sequence[ProjectReport], seconds: float) -> ProjectReport:
    """Several as one, that took so long."""
    models = tuple(m for r in reports for m in r.models)
    return replace(reports[0], models=models, seconds=seconds)


def _place(model: str, source: str, root: Path) -> Place:
    return place_of(source, Path.cwd(), root, (Path(model), 1))
