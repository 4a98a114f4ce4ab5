"""Results as lines of text with a label each: quick to import, readable in a pipe."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from toolkit.inspection import Inspection
    from toolkit.parity.results import ParityReport

WIDTH = 10
_OPERATORS = 8
"""So many kinds of operators are shown, the most frequent; the JSON has all."""


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def print_lines(rows: Iterable[tuple[str, str]], indent: str = "") -> None:
    """One line a row, its label in bold; a label that repeats is left blank."""
    last = None
    for label, text in rows:
        shown = click.style(f"{label if label != last else '':<{WIDTH}}", bold=True)
        click.echo(f"{indent}{shown}{text}")
        last = label


def size(count: int) -> str:
    """`24.1 kB`, in powers of 1000."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} bytes"


def show_inspection(found: Inspection) -> None:
    artifact, made = found.artifact, found.artifact.provenance
    opsets = ", ".join(f"{domain} {version}" for domain, version in found.opsets.items())
    rows = [
        ("file", f"{artifact.path}, {size(found.bytes)}, {found.parameters:,} parameters"),
        ("format", f"IR {found.ir_version}, opset {opsets}, by {found.producer or 'unknown'}"),
    ]
    if made.source:
        rows.append(("source", made.source + (" with weights" if made.weights else "")))
    if made.stages:
        rows.append(("stages", f"{made.exporter}: {', '.join(made.stages)}"))
    shown = [f"{count} {operator}" for operator, count in found.operators.items()]
    more = f", ... ({len(shown)} kinds)" if len(shown) > _OPERATORS else ""
    rows.append(("nodes", ", ".join(shown[:_OPERATORS]) + more))
    rows += [("signature", line) for line in str(artifact.signature).splitlines()]
    if artifact.assumed:
        rows.append(("note", "the file carries no signature: these ranges are assumed"))
    print_lines(rows)


def show_parity(report: ParityReport, rerun: str) -> None:
    """A verdict in a line, then what it rests on; where it fails, a command that shows it again."""
    verdict = ("holds", "green") if report.holds else ("DIFFERS", "red")
    click.echo(
        f"{click.style(report.candidate, bold=True)} {click.style(verdict[0], fg=verdict[1])}"
        f" against {report.reference} on {report.device}"
    )
    print_lines(_facts(report, rerun), indent="  ")


def parity_text(report: ParityReport, rerun: str = "") -> str:
    """The same without colours; without a command where there is none."""
    verdict = "holds" if report.holds else "DIFFERS"
    facts = [fact for fact in _facts(report, rerun) if rerun or fact[0] != "rerun"]
    lines = [f"  {label:<{WIDTH}}{text}" for label, text in facts]
    first = f"{report.candidate} {verdict} against {report.reference} on {report.device}"
    return "\n".join([first, *lines])


def _facts(report: ParityReport, rerun: str) -> list[tuple[str, str]]:
    facts = [("problem", p) for p in report.problems]
    failures, cases, least = report.failures, len(report.results), report.smallest
    if failures:
        facts += [
            ("first", failures[0].reason),
            ("case", str(failures[0].case)),
            *([("smallest", str(least.case)), ("", least.reason)] if least else []),
            ("rerun", f"{rerun} --case {shlex.quote(str((least or failures[0]).case))}"),
            ("failing", f"{len(failures)} of {cases} cases"),
        ]
    else:
        proven = sum(r.proven for r in report.results)
        told = "all hold" if proven == cases else f"{proven} hold, the others do not count"
        facts.append(("cases", f"{cases}, {told}"))
    if (found := report.located) and found.departure:
        facts.append(("departs", f"at {found.departure}"))
    facts += [("blame", text) for text in (found.blame if found else ())]
    if found and found.weakest:
        lost = ", ".join(f"{layer.module} {layer.sqnr:.1f} dB" for layer in found.weakest)
        facts.append(("weakest", lost))
    if found and found.reproduction:
        facts.append(("reduced", found.reproduction))
    facts += [("fidelity", str(f)) for f in report.fidelity]
    if report.worst and not failures and not report.fidelity:
        ratio = f"{report.worst.ratio:.2g}x the error of float32 itself"
        facts.append(("worst", f"{ratio} ({report.worst.case})"))
    facts += [("output", str(m)) for m in report.measures]
    facts += [("means", str(m)) for m in report.meanings]
    if report.repeated:
        cases = max(r.cases for r in report.repeated)
        told = ", ".join(map(str, report.repeated))
        facts.append(("repeats", f"{told} ({cases} cases)"))
    if kept := [str(i) for i in report.invariances if i.tried and not i.reason]:
        facts.append(("keeps", ", ".join(kept)))
    for name, sizes in report.covered.items():
        facts.append(("holds at", f"{name} {_in_short(sizes)}"))
    if report.unreached:
        count, first = len(report.unreached), report.unreached[0]
        facts.append(("unreached", f"{count} cases did not fit the budget, the first is {first}"))
    return facts + [("note", n) for n in report.remarks]


def _in_short(sizes: tuple[int, ...]) -> str:
    """`1..15, 17, 19, ..., 128 (57 sizes)`; the JSON has them all."""
    from toolkit.parity.results import ranges

    text = ranges(sizes)
    if len(text) <= 60:
        return text or "(no size)"
    return f"{text[:40].rpartition(', ')[0]}, ..., {sizes[-1]} ({len(sizes)} sizes)"
