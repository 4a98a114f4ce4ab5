"""Everything in a report that is not good, one by one: what annotations and code quality show."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.project.lines import Place
from toolkit.project.lock import UPDATE
from toolkit.project.results import DRIFTS, ERROR, ModelResult, ProjectReport, StageResult


@dataclass(frozen=True)
class Finding:
    """Something wrong with a model, or with one stage of it."""

    model: str
    stage: str
    outcome: str
    """differs, drifts or error"""
    title: str
    text: str
    """Some lines: what is wrong, then what to do."""
    place: Place | None


def findings(report: ProjectReport) -> tuple[Finding, ...]:
    """In the order of the report; empty where it holds."""
    found = []
    for model in report.models:
        if model.drift:
            told = [("drift", str(drift)) for drift in model.drift]
            told.append(("accept", f"{UPDATE} {model.name}"))
            found.append(_finding(model, "", DRIFTS, told))
        found += [
            _finding(model, stage.label, stage.outcome, details(model, stage))
            for stage in model.stages
            if stage.exit_code
        ]
    return tuple(found)


def details(model: ModelResult, stage: StageResult) -> list[tuple[str, str]]:
    """Why a stage is not good, and what to do, as labels and lines; nothing where it is good."""
    told: list[tuple[str, str]] = []
    if stage.failure:
        told.append((stage.outcome, stage.failure.message))
        if stage.failure.hint:
            told.append(("hint", stage.failure.hint))
        told += [("tried", f"{t.name} {t.outcome}: {t.reason}") for t in stage.tried]
    elif stage.report and not stage.report.holds:
        told.append((stage.outcome, stage.report.reason))
        told += [("problem", problem) for problem in stage.report.problems[1:]]
        if stage.report.failures:
            count = f"{len(stage.report.failures)} of {len(stage.report.results)} cases"
            told.append(("failing", count))
        if (found := stage.report.located) and found.departure:
            told.append(("departs", f"at {found.departure}"))
        told += [("blame", text) for text in (found.blame if found else ())]
    if stage.exit_code and stage.rerun and not stage.drift:
        told.append(("rerun", stage.rerun))
    told += [("drift", str(drift)) for drift in stage.drift]
    if stage.drift:
        told.append(("accept", f"{UPDATE} {model.name}"))
    return told


def _finding(model: ModelResult, stage: str, outcome: str, told: list[tuple[str, str]]) -> Finding:
    what = "cannot be checked" if outcome == ERROR else outcome
    title = f"{model.name}: {stage} {what}" if stage else f"{model.name} {what}"
    text = "\n".join(f"{label}: {line}" for label, line in told)
    return Finding(model.name, stage, outcome, title, text, model.place)
