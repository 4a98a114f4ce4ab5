"""What the terminal shows with rich: stages as they happen on stderr, tables on stdout."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from toolkit.progress import Listener
from toolkit.report.lines import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.progress import Progress, TaskID

    from toolkit.diagnosis import Diagnosis
    from toolkit.latency import Timing
    from toolkit.parity.matrix import Matrix
    from toolkit.parity.results import ParityReport
    from toolkit.zoo import Entry

K = TypeVar("K")


def out() -> Console:
    """For results. Long lines are the terminal's to wrap, and stay whole in a pipe."""
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = 1000
    return console


class Live(Listener):
    """Prints a line a stage to stderr, with a spinner and a bar on a terminal and none in a pipe.

    Use it as a context manager.
    """

    def __init__(self) -> None:
        # A copy of the descriptor: stderr itself is sent to a log while torch exports.
        self._stream = os.fdopen(os.dup(2), "w")
        self._console = Console(file=self._stream, soft_wrap=True, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._since = "", time.perf_counter()

    def __enter__(self) -> Live:
        if self._console.is_terminal:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        self._stream.close()

    def stage(self, name: str) -> None:
        self._name, self._since = name, time.perf_counter()
        if self._bar:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(name, total=None)

    def progress(self, done: int, total: int) -> None:
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task(self._name)
            self._bar.update(self._task, completed=done, total=total)

    def say(self, text: str) -> None:
        label = self._name.partition(" ")[0]
        seconds = time.perf_counter() - self._since
        told = (f"{label:<{WIDTH}}", "bold"), text, (f" ({seconds:.1f} s)", "dim")
        self._console.print(Text.assemble(*told))  # at once: the bar is drawn between two prints


def show_timings(timings: Sequence[Timing]) -> None:
    """A row for each subject and size."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("size", "subject"):
        table.add_column(heading, overflow="fold")
    for heading in ("median", "time", "rounds"):
        table.add_column(heading, justify="right")
    for timing in timings:
        sizes = ", ".join(f"{n} {s}" for n, s in timing.sizes.items())
        ratio = f"{timing.ratio:.2f}x"
        table.add_row(sizes, timing.subject, _duration(timing.seconds), ratio, str(timing.rounds))
    out().print(table)


def show_zoo(entries: Sequence[Entry]) -> None:
    """A line for each architecture, and below it what it takes."""
    console = out()
    for entry in entries:
        parts = f", run as {' and '.join(entry.parts)}" if len(entry.parts) > 1 else ""
        console.print(f"[bold]{entry.name:<18}[/bold]{entry.title}")
        console.print(f"{'':18}[dim]{entry.parameters:,} parameters{parts}[/dim]")
        for line in str(replace(entry.signature, outputs=())).splitlines():
            console.print(f"{'':18}[dim]{escape(line)}[/dim]")


def show_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    colors: Mapping[str, str] | None = None,
) -> None:
    """Plain cells under headings; those that look like a number with a unit stand on the right.

    `colors`: of cells by their text.
    """
    rows = list(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        cells = [row[number] for row in rows if len(row) > number and row[number]]
        right = bool(cells) and all(cell[0].isdigit() and " " not in cell for cell in cells)
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, (colors or {}).get(cell, "")) for cell in row))
    out().print(table)


def show_matrix(matrix: Matrix) -> None:
    """A row and a column for each subject, in their cells whether the two agree; then why not."""
    console = out()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for number in range(1, len(matrix.subjects)):
        table.add_column(str(number), no_wrap=True)
    for row, name in enumerate(matrix.subjects):
        cells = [_cell(matrix.between(row, column)) for column in range(row)]
        table.add_row(f"[bold]{row + 1}[/bold]  {escape(name)}", *cells)
    console.print(table)
    if not matrix.holds:
        agree = (", ".join(str(n + 1) for n in group) for group in matrix.groups)
        console.print("agree among themselves: " + "; ".join(agree))
    for (candidate, original), report in matrix.reports.items():
        if not report.holds:
            names = matrix.subjects[candidate], matrix.subjects[original]
            console.print(f"[red]{candidate + 1} differs from {original + 1}[/red]", end=": ")
            console.print(report.reason, markup=False)
            console.print(f"  onnxport check {names[0]} --against {names[1]}", markup=False)


def _cell(report: ParityReport | None) -> str:
    if report is None:
        return ""
    if report.holds:
        return f"[green]holds[/green] on {len(report.results)}"
    count = f" {len(report.failures)} of {len(report.results)}" if report.failures else ""
    return f"[red]DIFFERS[/red]{count}"


def _duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def show_diagnosis(found: Diagnosis) -> None:
    console = out()
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, version in found.versions.items():
        table.add_row(name, version)
    table.add_row("processor", found.processor)
    console.print(table)
    console.print()
    for device, runtimes in _grouped((d, r) for r, ds in found.devices.items() for d in ds).items():
        console.print(f"[green]works[/green]   {device}: {', '.join(runtimes)}")
    lacking = ((why, what) for what, why in found.lacking.items())
    for (missing, cure), what in _grouped(lacking).items():
        console.print(f"[dim]lacks[/dim]   {', '.join(what)}: {missing}\n        {cure}")
    for problem in found.problems:
        console.print(f"[red]broken[/red]  {problem.what}\n        mend: {problem.cure}")
    if not found.problems:
        console.print("[green]nothing to mend[/green]")


def _grouped(pairs: Iterable[tuple[K, str]]) -> dict[K, list[str]]:
    groups: dict[K, list[str]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups
