"""The check of many models on a terminal: a table, and below it what is not good and what to do."""

from __future__ import annotations

import click

from toolkit.project.findings import details
from toolkit.project.lock import UPDATE
from toolkit.project.results import DIFFERS, DRIFTS, ERROR, HOLDS, ModelResult, ProjectReport
from toolkit.report.lines import WIDTH, print_lines, size

HEADINGS = ("model", "stage", "verdict", "cases", "worst", "size", "time")
_COLORS = {HOLDS: "green", DIFFERS: "red", DRIFTS: "yellow", ERROR: "red"}


def rows(report: ProjectReport) -> list[tuple[str, ...]]:
    """The table, as text: a row for each stage and device."""
    found: list[tuple[str, ...]] = []
    for model in report.models:
        for stage in model.stages:
            count = str(len(stage.report.results)) if stage.report else ""
            total = size(stage.size) if stage.size else ""
            latency = f" ({stage.latency:.2f}x PyTorch)" if stage.latency is not None else ""
            took = f"{stage.seconds:.1f} s{latency}"
            row = (model.name, stage.label, stage.outcome, count, stage.worst, total, took)
            found.append(row)
    return found


def show_project(report: ProjectReport) -> None:
    from toolkit.report.console import show_table

    show_table(HEADINGS, rows(report), colors=_COLORS)
    for model in report.models:
        if told := _told(model):
            click.secho(f"\n{model.name}", bold=True)
            print_lines(told, indent="  ")
    click.echo()
    for note in report.notes:
        click.echo(note)
    click.echo(f"{report.summary} ({report.seconds:.1f} s)")


def told_in_text(model: ModelResult) -> str:
    """What is not good about a model, and the rest there is to say, as lines."""
    lines = [f"  {label:<{WIDTH}}{text}" for label, text in _told(model)]
    return "\n".join([f"{model.name} ({model.source})", *lines])


def _told(model: ModelResult) -> list[tuple[str, str]]:
    """What there is to say of a model beyond its rows; commands stand alone, to be copied."""
    told, commands = [("drift", str(drift)) for drift in model.drift], list[tuple[str, str]]()
    for stage in model.stages:
        found = details(model, stage)
        if stage.remark:
            found.append((stage.outcome, stage.remark))
        remarks = stage.report.remarks if stage.report else ()
        found += [("note", n) for n in (*remarks, *stage.notes) if n not in model.notes]
        commands += [fact for fact in found if fact[0] == "rerun"]
        told += [(k, f"{stage.label}: {v}") for k, v in found if k not in ("rerun", "accept")]
    if model.drift or any(stage.drift for stage in model.stages):
        commands.append(("accept", f"{UPDATE} {model.name}"))
    return [*told, *(("note", note) for note in model.notes), *commands]
