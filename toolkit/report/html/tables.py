"""The tables of a stage: what each output, layer, exporter and byte came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, log10
from typing import Any

from toolkit.parity.verdict import Tolerance
from toolkit.report.html.markup import Html, code, joined, tag
from toolkit.report.lines import size

Record = Mapping[str, Any]

_LAYERS = 12
"""So many are shown at first; the others on demand."""

_OUTCOMES = {"holds": "✓", "differs": "✗", "refused": "✗"}


def times(ratio: Any) -> str:
    """`1.4x`, `81,000x`; of JSON's "inf" and "nan" as well."""
    number = float(ratio)
    if not isfinite(number):
        return "∞" if number > 0 else "undefined"
    if 0 < number < 0.001:
        return "<0.001x"
    short = f"{number:.2g}"
    return f"{float(short):,.0f}x" if 100 <= number < 1e7 else f"{short}x"


def table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], note: str = ""
) -> Html:
    """The first cell of a row is its heading. A column of which every cell is "" is left out."""
    kept = [n for n, name in enumerate(headings) if n == 0 or any(row[n] != "" for row in rows)]
    headings, rows = [headings[n] for n in kept], [[row[n] for n in kept] for row in rows]
    head = [tag("th", heading, scope="col") for heading in headings]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(
                tag("td", cell, data_label=heading)
                for heading, cell in zip(headings[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    return tag(
        "section",
        tag("h4", title),
        tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="rows"),
        tag("p", note, class_="quiet") if note else "",
    )


def outputs(report: Record) -> Html:
    """Errors of each output; the other measures where the check took them."""
    errors = report.get("errors") or {}
    measured = report.get("measures") or report.get("outputs") or ()
    known = {m["output"]: m for m in measured}
    lossy = bool(report.get("fidelity"))
    if not known and (lossy or not errors):
        return Html()
    kinds: Mapping[str, Callable[[Record], object]] = {
        "error ratio": lambda m: "" if lossy else times(m["ratio"]),
        "ulps": lambda m: _number(m.get("ulps")),
        "absolute": lambda m: _number(m.get("max_abs")),
        "relative": lambda m: _number(m.get("max_rel")),
        "SQNR": lambda m: _decibels(m.get("sqnr")),
        "cosine": lambda m: _cosine(m.get("cosine")),
        "top-1": lambda m: _share(m.get("top1")),
        "top-5": lambda m: _share(m.get("top5")),
        "KL": lambda m: _number(m.get("kl")),
        "worst case": lambda m: _place(m.get("worst_case"), m.get("worst_index")),
    }
    names = dict.fromkeys([*errors, *known])
    rows = [
        known.get(n, {}) | {"ratio": errors.get(n, known.get(n, {}).get("ratio", 0))} for n in names
    ]
    told = {kind: [show(row) for row in rows] for kind, show in kinds.items()}
    kept = {kind: cells for kind, cells in told.items() if any(cells)}
    note = (
        "Error ratio: the largest error over the one that PyTorch’s own float32 makes against"
        f" float64 on the same case; {Tolerance().factor:g}x is the limit."
    )
    return table(
        "Error of each output",
        ["output", *kept],
        [[name, *(cells[n] for cells in kept.values())] for n, name in enumerate(names)],
        "" if lossy else note,
    )


def fidelity(report: Record) -> Html:
    found = report.get("fidelity") or ()
    if not found:
        return Html()
    rows = [
        (f["output"], _decibels(f["sqnr"]), _cosine(f["cosine"]), _share(f["top1"]), f["rows"])
        for f in found
    ]
    note = "SQNR: signal over quantization noise; 20 dB more is a tenth of the noise."
    return table("Fidelity", ["output", "SQNR", "cosine", "top-1", "rows"], rows, note)


def meanings(report: Record) -> Html:
    """Whether the difference of an output matters, for those that are of a kind."""
    rows = [
        (m["output"], m["kind"], m["text"], "yes" if m["matters"] else "no")
        for m in report.get("meanings") or ()
    ]
    headings = ["output", "as", "found", "matters"]
    return table("Does the difference matter?", headings, rows) if rows else Html()


def invariances(report: Record) -> Html:
    """What must not depend on how the model is asked."""
    rows = [
        (i["name"], i["tried"], i["reason"] or ("" if i["tried"] else "not so in the original"))
        for i in report.get("invariances") or ()
    ]
    note = "The original is asked both ways first: a row alone, a text padded, a run in parts."
    headings = ["what", "asked", "problem"]
    return table("The same however it is asked", headings, rows, note) if rows else Html()


def profile(report: Record) -> Html:
    """A bar a layer: of a rounded file how much noise there is, else how large the error."""
    layers = (report.get("located") or {}).get("profile") or ()
    rounded = [layer for layer in layers if layer.get("sqnr") is not None]
    if not layers:
        return Html()
    if rounded:
        title, headings = "Quantization sensitivity", ["layer", "noise", "SQNR"]
        scale = "A full bar: as much noise as signal, 0 dB; none: 100 dB or more."
        found = [(100 - float(layer["sqnr"]), _decibels(layer["sqnr"])) for layer in rounded]
    else:
        title, headings = "Error by layer", ["layer", "error", "error ratio"]
        scale = "Logarithmic, from 0.1x to a full bar for 1,000,000x."
        ratios = [float(layer["ratio"]) for layer in layers]
        found = [(100 * (log10(max(r, 0.1)) + 1) / 7, times(r)) for r in ratios]
    rows = [
        (layer["module"] or "(top)", _bar(min(max(share, 0.0), 100.0)), shown)
        for layer, (share, shown) in zip(rounded or layers, found, strict=True)
    ]
    if len(rows) <= _LAYERS:
        return table(title, headings, rows, f"{scale} In the order in which they run.")
    worst = sorted(range(len(rows)), key=lambda n: -found[n][0])[:_LAYERS]
    first = table(f"{title}: the worst", headings, [rows[n] for n in worst], scale)
    head = tag("summary", f"All {len(rows)} layers")
    everyone = table("In the order in which they run", headings, rows)
    return joined((first, tag("details", head, tag("div", everyone, class_="body"))))


def _bar(share: float) -> Html:
    """Of the width of a cell, in percent; the number stands beside it."""
    return tag("span", class_="bar", style=f"--share:{share:.1f}%", aria_hidden="true")


def cost(stage: Record, weights: int) -> Html:
    """Its time and its bytes beside those of PyTorch; `weights`: bytes of them there, or 0."""
    parts = []
    if stage["latency"] is not None:
        told = ("1x", times(stage["latency"]))
        parts.append(_beside("Time against PyTorch", "time", 1.0, stage["latency"], told))
    if stage["size"] and weights:
        told = (size(weights), size(stage["size"]))
        parts.append(_beside("Size against PyTorch", "bytes", weights, stage["size"], told))
    return joined(parts)


def _beside(title: str, what: str, theirs: float, ours: float, told: tuple[str, str]) -> Html:
    most = max(theirs, ours)
    shares = ("PyTorch", theirs / most), ("this file", ours / most)
    rows = [
        (name, _bar(100 * share), text) for (name, share), text in zip(shares, told, strict=True)
    ]
    return table(title, ["subject", what, "in numbers"], rows)


def drift(found: Sequence[Record]) -> Html:
    if not found:
        return Html()
    rows = [(d["what"], d["was"], d["now"]) for d in found]
    return table("Drift from the lock", ["what", "was", "is"], rows)


def tried(found: Sequence[Record]) -> Html:
    if not found:
        return Html()
    rows = [
        (
            t["name"],
            f"{_OUTCOMES.get(t['outcome'], '')} {t['outcome']}".strip(),
            t["reason"],
            f"{t['seconds']:.1f} s" if t.get("seconds") else "",
        )
        for t in found
    ]
    return table("What was tried", ["name", "outcome", "reason", "time"], rows)


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.3g}"


def _decibels(value: Any) -> str:
    if value is None:
        return ""
    return (
        f"{float(value):.1f}\u00a0dB"
        if isfinite(float(value))
        else "equal"
        if float(value) > 0
        else "none"
    )


def _cosine(value: Any) -> str:
    return "" if value is None else f"{float(value):.6g}"


def _share(value: Any) -> str:
    """100 % only where it is all."""
    if value is None:
        return ""
    return "100\u00a0%" if float(value) == 1.0 else f"{min(99.99, 100 * float(value)):.2f}\u00a0%"


def _place(case: Any, index: Any) -> Html | str:
    if not case:
        return ""
    return code(f"{case} [{', '.join(map(str, index))}]" if index else case)
