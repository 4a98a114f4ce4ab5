"""The page: a verdict at a glance, the models worst first, what they were checked with."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from toolkit.project.results import DIFFERS, DRIFTS, ERROR, HOLDS, LEFT_OUT, ProjectReport
from toolkit.report.html import tables
from toolkit.report.html.markup import Html, joined, tag
from toolkit.report.html.stage import SIGNS, accept, badge, label, stage, worst

_WORST_FIRST = (ERROR, DIFFERS, DRIFTS, HOLDS, LEFT_OUT)
_SAID = {HOLDS: HOLDS, DIFFERS: DIFFERS, DRIFTS: DRIFTS, LEFT_OUT: HOLDS}

Record = Mapping[str, Any]


def page(report: ProjectReport) -> str:
    """The whole of an HTML file. The same report gives the same bytes.

    It loads nothing and, by its own policy, could not: whatever a name in it says is harmless.
    """
    return page_of(report.to_dict())


def page_of(found: Record) -> str:
    """The same of what `to_dict` gives and `--json` prints."""
    style, script = _resource("style.css"), _resource("script.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " base-uri 'none'; form-action 'none'"
    )
    models = sorted(found["models"], key=_rank)
    title, verdict = found["summary"], HOLDS if found["holds"] else DIFFERS
    if len(models) == 1:
        verdict = outcome(models[0])
        title = f"{models[0]['name']} {_SAID.get(verdict, 'cannot be checked')}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{SIGNS[verdict]} {title} · onnxport"),
        tag("style", Html(style)),
    )
    alone = len(models) == 1
    body = tag(
        "body",
        _header(found, verdict, title),
        tag(
            "main",
            "" if alone else _overview(models),
            *(_model(m, f"m{n}", alone=alone) for n, m in enumerate(models, 1)),
        ),
        _footer(found),
        tag("script", Html(script)),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def outcome(model: Record) -> str:
    """The worst of its stages and of itself."""
    found = [s["outcome"] for s in model["stages"]] + ([DRIFTS] if model["drift"] else [])
    return min(found, key=_WORST_FIRST.index, default=ERROR)


def _rank(model: Record) -> tuple[int, int]:
    """Ties stay in the order of the report."""
    return _WORST_FIRST.index(outcome(model)), -model["exit_code"]


def _header(found: Record, verdict: str, title: str) -> Html:
    counts = [badge(o, count) for o, count in found["counts"].items()]
    facts = [found["config"], "held against parity.lock" if found["locked"] else ""]
    return tag(
        "header",
        tag("p", "onnxport check", class_="name"),
        tag(
            "h1",
            tag("span", SIGNS[verdict], class_="sign", aria_hidden="true"),
            tag("span", title),
        ),
        tag("p", *counts, tag("span", "stages", class_="quiet"), class_="chips") if counts else "",
        tag("p", " · ".join(filter(None, facts)), class_="quiet") if any(facts) else "",
        *(tag("p", note) for note in found["notes"]),
        data_outcome=verdict,
    )


def _overview(models: list[Record]) -> Html:
    rows = [
        tag(
            "li",
            tag(
                "a",
                badge(outcome(model)),
                tag("strong", model["name"]),
                tag("span", joined(_chip(s) for s in model["stages"]), class_="chips"),
                tag("span", _first_reason(model), class_="quiet"),
                href=f"#m{number}",
            ),
        )
        for number, model in enumerate(models, 1)
    ]
    return tag("nav", tag("ul", *rows), class_="overview", aria_label="Models, the worst first")


def _chip(found: Record) -> Html:
    sign = tag("span", SIGNS[found["outcome"]], aria_hidden="true")
    spoken = tag("span", f" {found['outcome']}", class_="spoken")
    told = f" {worst(found)}" if worst(found) else ""
    shown = joined((sign, spoken, f" {label(found)}", told))
    return tag("span", shown, class_="chip", data_outcome=found["outcome"])


def _first_reason(model: Record) -> str:
    bad = next((s for s in model["stages"] if s["exit_code"]), None)
    if bad is not None:
        return f"{label(bad)}: {bad['reason']}"
    return "; ".join(f"{d['what']}: was {d['was']}, is {d['now']}" for d in model["drift"])


def _model(model: Record, name: str, *, alone: bool) -> Html:
    place = model["place"]
    source = [tag("code", model["source"])] if model["source"] else []
    if place:
        source.append(tag("span", f"{place['file']}:{place['line']}", class_="quiet"))
    stages = [
        stage(s, model, f"{name}-s{n}", open_=alone or bool(s["exit_code"]))
        for n, s in enumerate(model["stages"], 1)
    ]
    return tag(
        "section",
        tag("div", tag("h2", model["name"]), badge(outcome(model)), class_="title"),
        tag("p", joined(source, " ")) if source else "",
        tag("pre", model["signature"], class_="signature") if model["signature"] else "",
        tables.drift(model["drift"]),
        accept(model) if model["drift"] else "",
        *(tag("p", note, class_="quiet") for note in model["notes"]),
        *stages,
        class_="model",
        id=name,
    )


def _footer(found: Record) -> Html:
    known = {**found["versions"], "processor": found["processor"]}
    rows = [tag("div", tag("dt", k), tag("dd", v)) for k, v in known.items() if v]
    took = [(m["name"], f"{m['seconds']:.1f} s") for m in found["models"] if m["seconds"]]
    return tag(
        "footer",
        tag("h2", "Environment"),
        tag("dl", *rows),
        tables.table("Time taken", ["model", "time"], took) if len(took) > 1 else "",
        tag("p", f"{found['seconds']:.1f} s in all", class_="quiet") if found["seconds"] else "",
    )
