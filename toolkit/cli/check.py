"""`onnxport check`"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from toolkit.cli import options, projects


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL|NAME...]")
@click.option("--against", metavar="SOURCE|FILE", help="The original; by default the file's own.")
@options.weights
@options.signature
@options.budget("30s", "Decides how many cases run.")
@options.seed
@click.option("--cases", "limit", default=128, show_default=True, help="At most so many.")
@click.option("--case", default="", metavar="TEXT", help="Only this one, as printed by a failure.")
@options.device("cpu")
@options.data
@options.min_sqnr
@click.option("--rtol", type=float, help="A fixed relative tolerance instead of the verdict.")
@click.option("--atol", type=float, help="A fixed absolute tolerance instead of the verdict.")
@options.as_json
@projects.with_outputs
@click.pass_context
def check(
    context: click.Context,
    /,
    models: tuple[str, ...],
    config: Path | None,
    update: bool,
    latency: bool,
    jobs: int | None,
    junit: Path | None,
    gitlab: Path | None,
    as_json: bool,
    **of_one: Any,
) -> None:
    """Prove that MODEL behaves like its original over its whole signature.

    MODEL is an ONNX file or a bundle. Names are those of onnxport.toml (or [tool.onnxport] of
    pyproject.toml); without any, all of its models are checked, side by side, and held against
    parity.lock where there is one.

    Exits 0 where it does and 1 where it does not. int8 files are judged by --min-sqnr.
    """
    from toolkit.project.config import names_models

    if config or names_models(models):
        given = {n: v for n, v in of_one.items() if _is_given(context, n)}
        projects.check_named(
            models,
            config=config,
            update=update,
            latency=latency,
            jobs=jobs,
            junit=junit,
            gitlab=gitlab,
            as_json=as_json,
            given=given,
        )
    for name in ("update", "latency", "jobs"):
        if _is_given(context, name):
            raise click.UsageError(f"--{name} is for the models of a config")
    if len(models) != 1:
        raise click.UsageError("one file at a time, or names of the config")
    _check_one(models[0], junit, gitlab, as_json, **of_one)


def _check_one(
    model: str,
    junit: Path | None,
    gitlab: Path | None,
    as_json: bool,
    *,
    against: str | None,
    rtol: float | None,
    atol: float | None,
    min_sqnr: float | None,
    **common: Any,
) -> None:
    import toolkit
    from toolkit.project.single import as_project
    from toolkit.report import console, lines
    from toolkit.report.publish import publish, root

    start, explicit = time.perf_counter(), rtol is not None or atol is not None

    def publish_as_project(found: Any) -> None:
        seconds = time.perf_counter() - start
        one = as_project(model, found, root=root(), rerun=_rerun(), seconds=seconds)
        publish(one, junit_file=junit, gitlab_file=gitlab)

    try:
        with console.Live() as live:
            live.stage("check")
            report = toolkit.check(
                model,
                against=against,
                tolerance=toolkit.Tolerance(rtol=rtol, atol=atol) if explicit else None,
                fidelity=toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
                listener=live,
                **common,
            )
    except toolkit.OnnxportError as error:
        publish_as_project(error)
        raise
    if as_json:
        lines.print_json(report.to_dict())
    else:
        lines.show_parity(report, _rerun())
    publish_as_project(report)
    sys.exit(report.exit_code)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) != ParameterSource.DEFAULT


def _rerun() -> str:
    """This command without a case of its own."""
    words = ["onnxport", *sys.argv[1:]]
    if "--case" in words:
        at = words.index("--case")
        del words[at : at + 2]
    return shlex.join(words)
