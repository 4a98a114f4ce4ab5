"""`onnxport check`"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from toolkit.cli import options, projects


@click.command()
@click.argument("models", metavar="[MODEL|NAME]...", nargs=-1)
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
@projects.many
def check(
    models: tuple[str, ...],
    against: str | None,
    weights: Path | None,
    signature: str | None,
    budget: float,
    seed: int,
    limit: int,
    case: str,
    device: str,
    data: Path | None,
    min_sqnr: float | None,
    rtol: float | None,
    atol: float | None,
    as_json: bool,
    outputs: projects.Outputs,
) -> None:
    """Prove that MODEL behaves like its original over its whole signature.

    A NAME is a model of onnxport.toml (or of [tool.onnxport] in pyproject.toml); without any
    argument all of them are checked, side by side, and held against parity.lock.

    Exits 0 where it does and 1 where it does not. int8 files are judged by --min-sqnr.
    """
    import toolkit
    from toolkit.report import console, lines

    if len(models) != 1:
        raise click.UsageError("one file at a time, or names of the config")
    explicit = rtol is not None or atol is not None
    with console.Live() as live:
        live.stage("check")
        report = toolkit.check(
            models[0],
            against=against,
            weights=weights,
            signature=signature,
            data=data,
            device=device,
            budget=budget,
            seed=seed,
            limit=limit,
            case=case,
            tolerance=toolkit.Tolerance(rtol=rtol, atol=atol) if explicit else None,
            fidelity=toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
            listener=live,
        )
    if as_json:
        lines.print_json(report.to_dict())
    else:
        lines.show_parity(report, _rerun())
    outputs.write(report, _rerun())
    sys.exit(report.exit_code)


def _rerun() -> str:
    """This command without a case of its own, and without the files it writes."""
    words = ["onnxport", *sys.argv[1:]]
    for option in ("--case", "--junit", "--gitlab", "--html"):
        words = [word for word in words if not word.startswith(f"{option}=")]
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join(words)
