"""`onnxport export`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("source")
@options.out
@options.signature
@options.weights
@options.examples
@options.exporters
@click.option("--every", is_flag=True, help="Try all exporters; take the fastest that holds.")
@options.opset
@options.target
@options.keep_trace
@click.option(
    "--budget",
    type=options.Duration(),
    help="For the check of each candidate: by default a quarter of what its export took.",
)
@options.seed
@options.time_limit
@options.memory_limit
def export(
    source: str,
    out: Path,
    signature: str | None,
    weights: Path | None,
    examples: tuple[Path, ...],
    exporters: tuple[str, ...],
    every: bool,
    opset: int | None,
    target: str,
    keep_trace: bool,
    budget: float | None,
    seed: int,
    time_limit: float,
    memory_limit: int | None,
) -> None:
    """Write SOURCE as an ONNX file that is proven to behave like it over its whole signature.

    Exporters are tried in turn; the first whose file holds wins.
    """
    import toolkit
    from toolkit.report import console

    with console.Live() as live:
        live.stage("export")
        exported = toolkit.export(
            source,
            out,
            signature=signature,
            weights=weights,
            examples=list(examples) or None,
            exporters=exporters,
            every=every,
            opset=opset,
            target=target,
            keep_trace=keep_trace,
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=live,
        )
        live.say(exported.summary)
    click.echo(str(exported.artifact.path))
