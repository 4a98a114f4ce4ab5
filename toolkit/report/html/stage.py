"""One stage of a model on one device: what came of it, why, and what it rests on.

All of it is read from what `to_dict` writes. What a report does not tell is not shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from toolkit.project.lock import UPDATE
from toolkit.project.results import DIFFERS, DRIFTS, ERROR, HOLDS, LEFT_OUT
from toolkit.report.html import tables
from toolkit.report.html.grid import grid
from toolkit.report.html.markup import Html, code, joined, tag
from toolkit.report.lines import size

SIGNS = {HOLDS: "✓", DIFFERS: "✗", DRIFTS: "△", LEFT_OUT: "–", ERROR: "!"}
"""Beside the word and its colour, which nobody has to tell apart."""

_SHOWN = 3
"""Failing cases told one by one; the others are below them."""

_CASE = " --case "

Record = Mapping[str, Any]


def badge(outcome: str, count: int | None = None) -> Html:
    sign = tag("span", SIGNS[outcome], aria_hidden="true")
    number = "" if count is None else f" {count}"
    return tag("span", sign, f" {outcome}{number}", class_="badge", data_outcome=outcome)


def label(stage: Record) -> str:
    device = stage["device"]
    return stage["stage"] if device in ("", "cpu") else f"{stage['stage']} on {device}"


def worst(stage: Record) -> str:
    """Of a lossy file the least dB, else the largest error over that of float32."""
    report = stage["report"] or {}
    if report.get("fidelity"):
        return f"{min(float(f['sqnr']) for f in report['fidelity']):.1f} dB"
    found = report.get("worst")
    return tables.times(found["ratio"]) if found and float(found["ratio"]) else ""


def command(words: str, about: str) -> Html:
    """Text to select, and a button that copies it once the script has shown it."""
    button = tag("button", "Copy", type="button", hidden=True, aria_label=f"Copy {about}")
    return tag("div", code(words), button, class_="command")


def accept(model: Record) -> Html:
    """What to type where drift is wanted."""
    return command(f"{UPDATE} {model['name']}", "the command that accepts this")


def stage(found: Record, model: Record, name: str, *, open_: bool) -> Html:
    """`name`: of the element, and how those within begin."""
    report: Record = found["report"] or {}
    failing = len(report.get("failures", ()))
    cases = report.get("cases", 0)
    counted = f"{cases - failing} of {cases} cases hold" if failing else f"{cases} cases"
    facts = [
        counted if cases else "",
        f"worst {worst(found)}" if worst(found) else "",
        size(found["size"]) if found["size"] else "",
        tables.times(found["latency"]) + " PyTorch’s time" if found["latency"] is not None else "",
    ]
    head = tag(
        "summary",
        tag("h3", label(found)),
        badge(found["outcome"]),
        tag("span", " · ".join(filter(None, facts)), class_="facts"),
    )
    body = [
        _why(found, report),
        _located(report),
        _cases(report, name, found["rerun"]),
        _failing(report, found["rerun"]),
        tables.outputs(report),
        tables.fidelity(report),
        tables.meanings(report),
        tables.invariances(report),
        tables.profile(report),
        tables.cost(found, model["weights_size"]),
        tables.drift(found["drift"]),
        accept(model) if found["drift"] else "",
        tables.tried(found["tried"]),
        _notes(found, report),
    ]
    return tag("details", head, tag("div", *body, class_="body"), id=name, open=open_)


def _why(found: Record, report: Record) -> Html:
    """What is wrong in a sentence, and a command that shows it."""
    told: list[Html] = []
    if found["reason"] and found["outcome"] != DRIFTS:  # of which there is a table
        told.append(tag("p", found["reason"], class_="reason"))
    told += [tag("p", p) for p in report.get("problems", [])[1:]]
    if found["hint"]:
        told.append(tag("p", "What to do: ", found["hint"]))
    if found["exit_code"] and found["rerun"] and found["outcome"] != DRIFTS:
        told.append(command(found["rerun"], "the command that shows this again"))
    least = report.get("smallest")
    if least:
        told.append(tag("p", "The smallest case that fails: ", least["reason"]))
        told.append(_shown_by(found["rerun"], least["case"]))
    return tag("div", *told, class_="why", data_outcome=found["outcome"]) if told else Html()


def _located(report: Record) -> Html:
    located = report.get("located") or {}
    told: list[tuple[str, Html]] = []
    if first := located.get("departure"):
        node = tag("code", first.get("node") or "(unnamed)"), f" ({first.get('operator', '')})"
        told.append(("node", joined(node)))
        told += [
            (key, tag("code", first[key]))
            for key in ("module", "line", "expected")
            if first.get(key)
        ]
        if float(first.get("ratio") or 0.0):
            told.append(("error", tag("span", tables.times(first["ratio"]))))
    told += [("blame", tag("span", sentence)) for sentence in located.get("blame") or ()]
    if located.get("reproduction"):
        told.append(("reduced", tag("code", located["reproduction"])))
    if not told:
        return Html()
    rows = [tag("div", tag("dt", key), tag("dd", value)) for key, value in told]
    return tag("section", tag("h4", "Where it departs"), tag("dl", *rows))


def _cases(report: Record, name: str, rerun: str) -> Html:
    if not report.get("ratios") and not report.get("unreached"):
        return Html()
    covered = ", ".join(f"{dim} {sizes}" for dim, sizes in report["covered"].items() if sizes)
    return tag(
        "section",
        tag("h4", "Cases over the domain"),
        grid(report, f"{name}-grid", _before(rerun)),
        tag("p", f"Holds at {covered}.", class_="quiet") if covered else "",
    )


def _failing(report: Record, rerun: str) -> Html:
    failures = report.get("failures") or ()
    if not failures:
        return Html()
    shown = [tag("li", tag("p", f["reason"]), _shown_by(rerun, f["case"])) for f in failures]
    parts = [tag("h4", f"Cases that fail ({len(failures)})"), tag("ol", *shown[:_SHOWN])]
    if rest := shown[_SHOWN:]:
        head = tag("summary", f"{len(rest)} more")
        parts.append(tag("details", head, tag("ol", *rest, start=_SHOWN + 1), class_="more"))
    return tag("section", *parts, class_="failing")


def _shown_by(rerun: str, case: str) -> Html:
    """A command, or where none runs a single case, the case."""
    again = _again(rerun, case)
    return command(again, f"the command for {case}") if again else tag("p", code(case))


def _again(rerun: str, case: str) -> str:
    """The command with another case, where it is one of a single case."""
    before = _before(rerun)
    return before + shlex.quote(case) if before else ""


def _before(rerun: str) -> str:
    """The command up to its case."""
    before, found, _ = rerun.rpartition(_CASE)
    return before + found


def _notes(found: Record, report: Record) -> Html:
    notes = dict.fromkeys([*report.get("notes", ()), *found["notes"]])
    parts = [tag("h4", "Notes"), tag("ul", *(tag("li", note) for note in notes))] if notes else []
    known = {
        "made by": found["made_by"],
        "checked on": found["device"] if report else "",
        "scheme": found["scheme"],
    }
    if isinstance(known["made by"], Mapping):
        known["made by"] = ", ".join(f"{k} {v}" for k, v in known["made by"].items())
    told = "; ".join(f"{key} {value}" for key, value in known.items() if value)
    file = f"SHA-256 {found['content'][:12]}" if found["content"] else ""
    line = "; ".join(filter(None, (told, file)))
    if line:
        parts.append(tag("p", line, class_="quiet"))
    return tag("section", *parts) if parts else Html()
