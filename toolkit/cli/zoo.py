"""`onnxport zoo`"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from toolkit.cli import options

if TYPE_CHECKING:
    from toolkit.pipeline.zoo import Verified


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--verify", is_flag=True, help="Ship each one and print how that went.")
@options.device("cpu")
@options.budget("10s", "For each check, with --verify.")
@options.as_json
def zoo(names: tuple[str, ...], verify: bool, device: str, budget: float, as_json: bool) -> None:
    """List the architectures that zoo:NAME names; all of them, or those named.

    With --verify a NAME takes arguments (cnn,size=8), and the exit code is 1 where one fails.
    """
    from toolkit import zoo as architectures
    from toolkit.pipeline import zoo as proven
    from toolkit.report import console, lines

    if not verify:
        entries = [architectures.describe(name) for name in names or architectures.names()]
        if as_json:
            found = [{**vars(e), "signature": str(e.signature).splitlines()} for e in entries]
            lines.print_json(found)
        else:
            console.show_zoo(entries)
        return
    with console.Live() as live:
        rows = list(proven.verify(names, device=device, budget=budget, listener=live))
    if as_json:
        lines.print_json([asdict(row) for row in rows])
    else:
        headings = ("architecture", "exporter", "holds at", "simplify", "time", "int8", "tokens")
        console.show_table(headings, map(_cells, rows))
    raise SystemExit(1 if any(row.problem for row in rows) else 0)


def _cells(row: Verified) -> tuple[str, ...]:
    if row.problem:
        return row.name, "FAILS", row.problem
    time = f"{row.time:.2f}x" if row.time is not None else ""
    return row.name, row.exporter, row.coverage, row.nodes, time, row.int8, row.tokens
