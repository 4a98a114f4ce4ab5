"""`onnxport check`"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

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
@click.option(
    "--case", default="", metavar="TEXT|FILE", help="Only this one, as a failure printed or saved."
)
@click.option(
    "--save",
    type=options.PATH,
    metavar="FILE.npz",
    help="Write the smallest failure.",
)
@click.option(
    "--golden",
    type=options.PATH,
    metavar="FILE",
    help="Record the original's outputs (.safetensors), to be held --against elsewhere.",
)
@click.option("--runtime", default="", metavar="NAME", help="Runs MODEL; onnxruntime or pytorch.")
@click.option("--against-runtime", default="", metavar="NAME", help="Runs the original.")
@options.device("cpu")
@click.option(
    "--against-device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the original runs.",
)
@options.data
@options.min_sqnr
@click.option("--rtol", type=float, help="A fixed relative tolerance instead of the verdict.")
@click.option("--atol", type=float, help="A fixed absolute tolerance instead of the verdict.")
@click.option(
    "--reduce", type=options.PATH, metavar="DIR", help="Write the smallest model that still fails."
)
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
    save: Path | None,
    golden: Path | None,
    runtime: str,
    against_runtime: str,
    device: str,
    against_device: str,
    data: Path | None,
    min_sqnr: float | None,
    rtol: float | None,
    atol: float | None,
    reduce: Path | None,
    as_json: bool,
    outputs: projects.Outputs,
) -> None:
    """Prove that MODEL behaves like its original over its whole signature.

    MODEL and --against are ONNX files, bundles or PyTorch sources; of a bundle that writes
    sequences each graph is checked, and what they write together. Several MODELs are held against
    each other: a table says who agrees with whom. A NAME is a model of onnxport.toml (or of
    [tool.onnxport] in pyproject.toml); without any argument all of them are checked, side by side,
    and held against parity.lock.

    Exits 0 where all hold and 1 where not. int8 files are judged by --min-sqnr.
    """
    import toolkit
    from toolkit.report import console, lines

    if len(models) > 1 and (against or save or golden or runtime or against_runtime):
        raise click.UsageError(
            "several models are held against each other; --against, --runtime, --save and --golden"
            " are for one"
        )

    explicit = rtol is not None or atol is not None
    with console.Live() as live:
        live.stage("check")
        options: dict[str, Any] = {
            "weights": weights,
            "signature": signature,
            "data": data,
            "device": device,
            "against_device": against_device,
            "budget": budget,
            "seed": seed,
            "limit": limit,
            "case": case,
            "tolerance": toolkit.Tolerance(rtol=rtol, atol=atol) if explicit else None,
            "fidelity": toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
            "listener": live,
        }
        if len(models) > 1:
            matrix = toolkit.check_all(models, **options)
        else:
            report = toolkit.check(
                models[0],
                against=against,
                runtime=runtime,
                against_runtime=against_runtime,
                save=save,
                golden=golden,
                explain=True,
                reduced=reduce,
                **options,
            )
    if len(models) > 1:
        if as_json:
            lines.print_json(matrix.to_dict())
        else:
            console.show_matrix(matrix)
        outputs.write_pairs(matrix, models)
        sys.exit(matrix.exit_code)
    if as_json:
        lines.print_json(report.to_dict())
    else:
        lines.show_parity(report, _rerun())
        if save and report.failures:
            lines.print_lines([("saved", f"{save}, for --case")], indent="  ")
    outputs.write(report, _rerun())
    sys.exit(report.exit_code)


def _rerun() -> str:
    """This command without a case of its own, and without the files it writes."""
    words = ["onnxport", *sys.argv[1:]]
    for option in ("--case", "--save", "--reduce", "--junit", "--gitlab", "--html"):
        words = [word for word in words if not word.startswith(f"{option}=")]
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join(words)
