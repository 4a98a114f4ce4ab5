"""What `onnxport check` does where it is given names of a config, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from toolkit.cli import options
from toolkit.errors import UsageError

_FOR_A_FILE = ("against", "weights", "signature", "data")
_FIELDS = {"limit": "cases", "device": "devices"}
_OVERRIDE = ("budget", "seed", "limit", "device", "min_sqnr", "rtol", "atol")
"""Options that stand in place of what the config says."""


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
)


def with_outputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of many models, and of what is written for a CI."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_named(
    names: tuple[str, ...],
    *,
    config: Path | None,
    update: bool,
    latency: bool,
    jobs: int | None,
    junit: Path | None,
    gitlab: Path | None,
    as_json: bool,
    given: dict[str, Any],
) -> None:
    """Check the models of a config and exit. `given`: the other options that were passed."""
    import toolkit
    from toolkit.project.config import CONFIG, find_config
    from toolkit.project.single import as_project
    from toolkit.report import console, lines, project
    from toolkit.report.publish import publish, root

    for name in _FOR_A_FILE:
        if name in given:
            raise UsageError(f"--{name} is for one file", "name it, or say it in the config")
    fields = {_FIELDS.get(name, name): given[name] for name in _OVERRIDE if name in given}
    if "devices" in fields:
        fields["devices"] = (fields["devices"],)
    try:
        with console.Live() as live:
            live.stage("check")
            report = toolkit.check_project(
                config,
                names=names,
                update=update,
                latency=latency,
                jobs=jobs,
                root=root(),
                case=given.get("case", ""),
                options=fields,
                listener=live,
            )
    except toolkit.OnnxportError as error:
        failed = as_project(str(config or find_config() or CONFIG), error, root=root())
        publish(failed, junit_file=junit, gitlab_file=gitlab)
        raise
    if as_json:
        lines.print_json(report.to_dict())
    else:
        project.show_project(report)
    publish(report, junit_file=junit, gitlab_file=gitlab)
    sys.exit(report.exit_code)
