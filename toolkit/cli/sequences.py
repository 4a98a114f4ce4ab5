"""`onnxport check` of a bundle that writes sequences."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from toolkit.cli.projects import Outputs

_OPTIONS = ("against", "weights", "data", "device", "budget", "seed", "limit")


def check_sequence(folder: str, given: dict[str, Any], outputs: Outputs) -> None:
    """Check with the options that were given, print, and leave with the exit code."""
    import toolkit
    from toolkit.errors import ParityError
    from toolkit.project.single import as_project, together
    from toolkit.report import console, lines
    from toolkit.report.publish import root

    as_json = given.pop("as_json", False)
    if others := sorted(given.keys() - set(_OPTIONS)):
        raise click.UsageError(
            f"--{others[0].replace('_', '-')} is for one graph: name {folder}/decoder"
        )
    start = time.perf_counter()
    with console.Live() as live:
        report = toolkit.check_sequence(folder, listener=live, **given)
    if as_json:
        lines.print_json(report.to_dict())
    else:
        for name, part in report.parts.items():
            lines.show_parity(part, f"onnxport check {shlex.quote(f'{folder}/{name}')}")
        lines.print_lines([("writes", str(w)) for w in report.writings])
        if report.problem:
            lines.print_lines([("problem", report.problem)])
    seconds = time.perf_counter() - start
    found = [
        as_project(f"{folder}/{name}", part, root=root()) for name, part in report.parts.items()
    ]
    if report.problem:
        found.append(as_project(folder, ParityError(report.problem), root=root()))
    outputs.publish(together(found, seconds))
    sys.exit(report.exit_code)
