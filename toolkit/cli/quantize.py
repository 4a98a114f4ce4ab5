"""`onnxport quantize`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("model", type=options.PATH)
@options.out
@options.data
@click.option(
    "--scheme",
    type=click.Choice(["auto", "static", "static-products", "dynamic"]),
    default="auto",
    show_default=True,
    help="auto tries all that apply and keeps the fastest within the budget.",
)
@options.min_sqnr
@options.signature
@options.budget("10s", "For the check of each result.")
@options.seed
@options.time_limit
@options.memory_limit
def quantize(
    model: Path,
    out: Path,
    data: Path | None,
    scheme: str,
    min_sqnr: float | None,
    signature: str | None,
    budget: float,
    seed: int,
    time_limit: float,
    memory_limit: int | None,
) -> None:
    """Write MODEL in int8, within an accuracy budget, and say what it gains.

    Without --data it is calibrated on random values of the signature.
    """
    import toolkit
    from toolkit.report import console

    with console.Live() as live:
        live.stage("quantize")
        chosen, _ = toolkit.quantize(
            model,
            out,
            signature=signature,
            scheme=scheme,
            data=data,
            fidelity=toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=live,
        )
    if chosen.ratio > 1:
        click.echo(f"note: {chosen.remark}", err=True)
    click.echo(str(out))
