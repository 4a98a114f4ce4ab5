"""`onnxport check` of many models, and what it writes for a CI, of one file as well."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toolkit.cli import options, sequences
from toolkit.errors import OnnxportError

if TYPE_CHECKING:
    from toolkit.parity.matrix import Matrix
    from toolkit.parity.results import ParityReport
    from toolkit.project.results import ProjectReport

_FIELDS = {
    "budget": "budget",
    "seed": "seed",
    "limit": "cases",
    "device": "devices",
    "min_sqnr": "min_sqnr",
    "rtol": "rtol",
    "atol": "atol",
}
"""Options of one file that stand in place of a field of the config where they are passed."""

_OPTIONS = (
    click.option(
        "--config",
        type=options.PATH,
        metavar="FILE",
        help="In place of onnxport.toml here or above.",
    ),
    click.option(
        "--update", is_flag=True, help="Accept what is: write parity.lock beside the config."
    ),
    click.option(
        "--latency", is_flag=True, help="Measure the time over PyTorch's too, and lock it."
    ),
    click.option("--jobs", type=click.IntRange(1), metavar="N", help="Models at once."),
    click.option("--junit", type=options.PATH, metavar="FILE", help="Write JUnit XML."),
    click.option(
        "--gitlab", type=options.PATH, metavar="FILE", help="Write a code quality report."
    ),
    click.option("--html", type=options.PATH, metavar="FILE", help="Write a page to look at."),
)


@dataclass(frozen=True)
class Outputs:
    """The files to write of one check, and what a CI is told of it."""

    model: str
    junit: Path | None
    gitlab: Path | None
    html: Path | None
    start: float = field(default_factory=time.perf_counter)

    def write(self, found: ParityReport | OnnxportError, rerun: str = "") -> None:
        from toolkit.project.single import as_project
        from toolkit.report.publish import root

        report = as_project(self.model, found, root=root(), rerun=rerun, seconds=self._seconds)
        self.publish(report)

    def write_pairs(self, matrix: Matrix, models: tuple[str, ...]) -> None:
        """Of several subjects, each pair as a model of its own."""
        from toolkit.project.single import as_project, together
        from toolkit.report.publish import root

        found = [
            as_project(
                models[one],
                report,
                root=root(),
                name=f"{Path(models[one]).name} against {Path(models[other]).name}",
            )
            for (one, other), report in matrix.reports.items()
        ]
        self.publish(together(found, self._seconds))

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self.start

    def publish(self, report: ProjectReport) -> None:
        from toolkit.report.publish import publish

        publish(report, junit_file=self.junit, gitlab_file=self.gitlab, html_file=self.html)


def many(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of many models to the check of one, which is left to `command`."""

    @click.pass_context
    @wraps(command)
    def run(
        context: click.Context,
        /,
        models: tuple[str, ...],
        config: Path | None,
        update: bool,
        latency: bool,
        jobs: int | None,
        junit: Path | None,
        gitlab: Path | None,
        html: Path | None,
        **of_one: Any,
    ) -> None:
        from toolkit.project.config import CONFIG, find_config, names_models

        named = bool(config) or names_models(models)
        for name in () if named else ("update", "latency", "jobs"):
            if _is_given(context, name):
                raise click.UsageError(f"--{name} is for the models of a config")
        checked = str(config or find_config() or CONFIG) if named else models[0]
        outputs = Outputs(checked, junit, gitlab, html)
        try:
            if named:
                asked = {"config": config, "update": update, "latency": latency, "jobs": jobs}
                _check_named(context, models, outputs, asked, of_one)
            elif len(models) == 1 and _writes_sequences(models[0]):
                given = {name: v for name, v in of_one.items() if _is_given(context, name)}
                sequences.check_sequence(models[0], given, outputs)
            else:
                command(models=models, outputs=outputs, **of_one)
        except OnnxportError as error:
            outputs.write(error)
            raise

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def _check_named(
    context: click.Context,
    names: tuple[str, ...],
    outputs: Outputs,
    asked: dict[str, Any],
    of_one: dict[str, Any],
) -> None:
    import toolkit
    from toolkit.report import console, lines, project
    from toolkit.report.publish import root

    given = {name: value for name, value in of_one.items() if _is_given(context, name)}
    as_json, case = given.pop("as_json", False), given.pop("case", "")
    if others := sorted(given.keys() - _FIELDS.keys()):
        raise click.UsageError(f"--{others[0].replace('_', '-')} is for one file")
    fields = {_FIELDS[name]: value for name, value in given.items()}
    if "devices" in fields:
        fields["devices"] = (fields["devices"],)
    with console.Live() as live:
        live.stage("check")
        report = toolkit.check_project(
            names=names, root=root(), case=case, options=fields, listener=live, **asked
        )
    if as_json:
        lines.print_json(report.to_dict())
    else:
        project.show_project(report)
    outputs.publish(report)
    sys.exit(report.exit_code)


def _writes_sequences(model: str) -> bool:
    if not Path(model).is_dir():
        return False
    from toolkit.pipeline.check_sequence import is_sequence_bundle

    return is_sequence_bundle(model)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) != ParameterSource.DEFAULT
