"""A report as GitHub Actions shows it: annotations at source lines, and the summary of the job.

Escaping is that of @actions/core (packages/core/src/command.ts):
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from toolkit.project.findings import Finding, findings
from toolkit.project.results import DIFFERS, DRIFTS, ERROR, HOLDS, LEFT_OUT, ProjectReport
from toolkit.report.project import HEADINGS, rows

_SIGNS = {HOLDS: "✅", DIFFERS: "❌", DRIFTS: "⚠️", ERROR: "❌", LEFT_OUT: "➖"}


def workflow_commands(report: ProjectReport) -> list[str]:
    """A workflow command for each finding: `::error file=model.py,line=3,title=...::...`"""
    return [_annotation(found) for found in findings(report)]


def _annotation(found: Finding) -> str:
    where = {"file": found.place.file, "line": str(found.place.line)} if found.place else {}
    properties = {**where, "title": found.title}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {written}::{_data(found.text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(report: ProjectReport) -> str:
    """Markdown: a table, then what is wrong, each with what to do."""
    lines = [f"## {_SIGNS[HOLDS if report.holds else DIFFERS]} onnxport: {report.summary}", ""]
    lines += [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    for row in rows(report):
        name, stage, outcome, *rest = map(_cell, row)
        lines.append(_row([name, stage, f"{_SIGNS[outcome]} {outcome}", *rest]))
    for found in findings(report):
        lines += ["", f"### {_cell(found.title)}", "", *_fenced(found.text)]
    known = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    if known:
        lines += ["", f"{report.processor}, {known}"]
    lines += [f"\n{_cell(note)}" for note in report.notes]
    return "\n".join(lines) + "\n"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Nothing in it is markup, a column or a line."""
    for special in "\\`*_<>[]|":
        text = text.replace(special, f"\\{special}")
    return text.replace("\n", " ")


def _fenced(text: str) -> list[str]:
    """A block of code whose fence is longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", text, fence]
