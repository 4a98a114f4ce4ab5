"""The cases of a check over the shape domain: two dimensions as axes of a table.

A dimension with many sizes is cut into intervals that grow with the size; its ends stand alone, as
that is where models break. What values were filled in is one more dimension.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from toolkit.project.results import DIFFERS, HOLDS
from toolkit.report.html.markup import Html, data, joined, tag
from toolkit.report.html.tables import times
from toolkit.signature import Dim, Signature

VALUES = "values"

MOST = 12
"""Intervals of an axis: at 360 pixels a cell is then 22 pixels wide, next to its heading."""

EXCUSED, UNREACHED = "excused", "not run"
SIGNS = {HOLDS: "✓", DIFFERS: "✗", EXCUSED: "~", UNREACHED: "·"}
_BY_WEIGHT = (DIFFERS, HOLDS, EXCUSED, UNREACHED)
"""What a cell shows of several cases."""


@dataclass(frozen=True)
class Axis:
    name: str
    bins: tuple[str, ...]
    """As they are written: `8`, `9–16`, `zeros`."""


@dataclass(frozen=True)
class Spot:
    """One case: where it lies on each axis, and what came of it."""

    case: str
    at: tuple[int, ...]
    outcome: str
    ratio: str


@dataclass(frozen=True)
class Domain:
    axes: tuple[Axis, ...]
    spots: tuple[Spot, ...]

    def best(self) -> tuple[int, int | None]:
        """The axes across and down that tell cases that hold best from those that do not.

        The longer one goes down: a page is narrow. None where there is only one.
        """
        long = [n for n, axis in enumerate(self.axes) if len(axis.bins) > 1] or [0]
        if len(long) == 1:
            return long[0], None
        one, other = min(combinations(long, 2), key=self._mixed)
        if len(self.axes[one].bins) > len(self.axes[other].bins):
            return other, one
        return one, other

    def cells(self, across: int, down: int | None) -> dict[tuple[int, int], list[Spot]]:
        """The cases in each cell, by column and row."""
        found: dict[tuple[int, int], list[Spot]] = {}
        for spot in self.spots:
            place = (spot.at[across], 0 if down is None else spot.at[down])
            found.setdefault(place, []).append(spot)
        return found

    def _mixed(self, pair: tuple[int, int]) -> int:
        """Cases in cells where some hold and some do not."""
        cells = self.cells(*pair).values()
        return sum(len(c) for c in cells if {HOLDS, DIFFERS} <= {spot.outcome for spot in c})


def domain(report: Mapping[str, Any]) -> Domain:
    """Of a parity report as `to_dict` writes it."""
    dims = Signature.parse(report["signature"]).dims
    failing = {f["case"] for f in report["failures"]}
    excused = {e["case"] for e in report.get("excused", ())}
    ran = {
        case: DIFFERS if case in failing else EXCUSED if case in excused else HOLDS
        for case in report["ratios"]
    }
    outcomes = ran | dict.fromkeys(report["unreached"], UNREACHED)
    known = {case: found for case in outcomes if (found := _values(case, dims))}
    fills = tuple(dict.fromkeys(values["fill"] for values in known.values()))
    cuts = [_cuts(dim) for dim in dims]
    axes = [Axis(d.name, tuple(map(_written, c))) for d, c in zip(dims, cuts, strict=True)]
    spots = []
    for case, values in known.items():
        at = [
            next(n for n, (low, high) in enumerate(cut) if low <= int(values[dim.name]) <= high)
            for dim, cut in zip(dims, cuts, strict=True)
        ]
        ratio = report["ratios"].get(case, 0.0)
        shown = "" if outcomes[case] == UNREACHED or not float(ratio) else times(ratio)
        spots.append(Spot(case, (*at, fills.index(values["fill"])), outcomes[case], shown))
    return Domain((*axes, Axis(VALUES, fills)), tuple(spots))


def _values(case: str, dims: Sequence[Dim]) -> dict[str, str]:
    """The sizes and the fill that the text of a case names; empty where it is that of a file."""
    found = dict(part.partition("=")[::2] for part in case.split(","))
    sizes = all(found.get(dim.name, "").isdigit() for dim in dims)
    return found if sizes and "fill" in found else {}


def _cuts(dim: Dim) -> list[tuple[int, int]]:
    """Intervals that hold every legal size, in order; none is without one."""
    legal = dim.legal
    if len(legal) <= MOST:
        return [(n, n) for n in legal]
    low, high = legal[0], legal[-1]
    if high >= 16 * max(low, 1):
        step = 2
        while len(edges := _powers(low, high, step)) >= MOST:
            step *= 2
    else:
        width = -(-(len(legal) - 2) // (MOST - 2))
        edges = [low, *(legal[n] for n in range(1, len(legal) - 1, width))]
    edges += [high] if edges[-1] < high else []
    ends = [*(edge - 1 for edge in edges[1:]), high]
    spans = (
        (bisect_left(legal, a), bisect_right(legal, b)) for a, b in zip(edges, ends, strict=True)
    )
    return [(legal[first], legal[end - 1]) for first, end in spans if first < end]


def _powers(low: int, high: int, step: int) -> list[int]:
    """Where intervals begin: low, then after each power of `step`: 1, 2, 3, 5, 9, 17."""
    edges, power = [low] if low else [0, 1], 1
    while power < high:
        if power >= low:
            edges.append(power + 1)
        power *= step
    return edges


def _written(cut: tuple[int, int]) -> str:
    low, high = cut
    return str(low) if low == high else f"{low}–{high}"


def grid(report: Mapping[str, Any], name: str, rerun: str) -> Html:
    """The table, what a script needs to turn it, and a legend.

    `rerun`: a command up to its case; "" where there is none.
    """
    found = domain(report)
    if not found.spots:
        return Html()
    across, down = found.best()
    table = _table(found, across, down)
    told = {
        "axes": [{"name": axis.name, "bins": axis.bins} for axis in found.axes],
        "cases": [(s.case, s.at, s.outcome, s.ratio) for s in found.spots],
        "reasons": {f["case"]: f["reason"] for f in report["failures"]},
        "rerun": rerun,
    }
    seen = {spot.outcome for spot in found.spots}
    legend = [
        tag("li", tag("span", sign, class_="cell", data_outcome=outcome, aria_hidden="true"), word)
        for outcome, sign, word in (
            (HOLDS, SIGNS[HOLDS], "holds"),
            (DIFFERS, SIGNS[DIFFERS], "differs"),
            (EXCUSED, SIGNS[EXCUSED], "not counted"),
            (UNREACHED, SIGNS[UNREACHED], "not run: no time left"),
            ("", "", "no case"),
        )
        if outcome in seen or not outcome
    ]
    return tag(
        "div",
        tag(
            "p",
            _select("across", name, found, across),
            _select("down", name, found, down) if down is not None else "",
            class_="axes",
            hidden=True,
        ),
        tag("div", table, class_="plot"),
        tag("ul", *legend, class_="legend"),
        tag("div", class_="chosen", role="status"),
        data(told),
        class_="grid",
        id=name,
    )


def _select(which: str, name: str, found: Domain, chosen: int | None) -> Html:
    options = [
        tag("option", axis.name, value=n, selected=n == chosen)
        for n, axis in enumerate(found.axes)
        if len(axis.bins) > 1
    ]
    label = f"{name}-{which}"
    select = tag("select", *options, id=label, data_axis=which)
    return tag("span", tag("label", which, for_=label), select)


def _table(found: Domain, across: int, down: int | None) -> Html:
    """Rows and columns with headings; `script.js` draws the same for other axes."""
    columns = found.axes[across]
    rows = Axis("", ("",)) if down is None else found.axes[down]
    cells = found.cells(across, down)
    head = [
        tag("th", tag("span", label), scope="col", class_=_length(label)) for label in columns.bins
    ]
    body = [
        tag(
            "tr",
            tag("th", label, scope="row"),
            *(_cell(cells.get((x, y), [])) for x in range(len(columns.bins))),
        )
        for y, label in enumerate(rows.bins)
    ]
    names = [f"{rows.name} ↓"] if rows.name else []
    corner = tag("td", joined([*names, f"{columns.name} →"], tag("br")))
    caption = f"cases by {columns.name}" + (f" and {rows.name}" if rows.name else "")
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", corner, *head)),
        tag("tbody", *body),
    )


def _length(label: str) -> str | None:
    """How a heading is turned: never, on a narrow page, always."""
    return None if len(label) <= 3 else "medium" if len(label) <= 8 else "long"


def _cell(spots: Sequence[Spot]) -> Html:
    outcomes = [spot.outcome for spot in spots]
    shown = next((o for o in _BY_WEIGHT if o in outcomes), "")
    if not shown:
        return tag("td", tag("span", "no case", class_="spoken"))
    counted = joined((f"{outcomes.count(o)} {o}" for o in _BY_WEIGHT if o in outcomes), ", ")
    sign = tag("span", SIGNS[shown], aria_hidden="true")
    spoken = tag("span", counted, class_="spoken")
    return tag("td", sign, spoken, class_="cell", data_outcome=shown)
