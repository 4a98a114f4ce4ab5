"""`onnxport simplify`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("model", type=options.PATH)
@options.out
@options.signature
@options.budget("10s", "For the check of the result.")
@options.seed
@options.time_limit
@options.memory_limit
def simplify(
    model: Path,
    out: Path,
    signature: str | None,
    budget: float,
    seed: int,
    time_limit: float,
    memory_limit: int | None,
) -> None:
    """Write MODEL with fewer nodes, checked against MODEL itself.

    Nothing is written where there is nothing to gain or the result would not hold.
    """
    import toolkit
    from toolkit.report import console

    with console.Live() as live:
        live.stage("simplify")
        done = toolkit.simplify(
            model,
            out,
            signature=signature,
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=live,
        )
        live.say(done.remark)
    if done.kept:
        click.echo(str(done.artifact.path))
