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
@click.option(
    "--exporter", "exporters", multiple=True, metavar="NAME", help="Only this one; repeat."
)
@click.option("--opset", default=20, show_default=True, help="Of the file.")
@options.budget("10s", "For the check of each candidate.")
@options.seed
def export(
    source: str,
    out: Path,
    signature: str | None,
    weights: Path | None,
    exporters: tuple[str, ...],
    opset: int,
    budget: float,
    seed: int,
) -> None:
    """Write SOURCE as an ONNX file that is proven to behave like it over its whole signature.

    Exporters are tried in turn; the first whose file holds wins.
    """
    import toolkit
    from toolkit.pipeline.export import DEFAULT_ORDER
    from toolkit.report import console

    with console.Live() as live:
        live.stage("export")
        exported = toolkit.export(
            source,
            out,
            signature=signature,
            weights=weights,
            exporters=exporters or DEFAULT_ORDER,
            opset=opset,
            budget=budget,
            seed=seed,
            listener=live,
        )
        live.say(f"{exported.attempts[-1].exporter}: {exported.report.summary}")
    click.echo(str(exported.artifact.path))
