"""`onnxport ship`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("source")
@options.out
@options.signature
@options.weights
@options.data
@options.min_sqnr
@click.option(
    "--exporter", "exporters", multiple=True, metavar="NAME", help="Only this one; repeat."
)
@click.option("--opset", default=20, show_default=True, help="Of the files.")
@options.budget("10s", "For each check.")
@options.seed
@options.time_limit
@options.memory_limit
def ship(
    source: str,
    out: Path,
    signature: str | None,
    weights: Path | None,
    data: Path | None,
    min_sqnr: float | None,
    exporters: tuple[str, ...],
    opset: int,
    budget: float,
    seed: int,
    time_limit: float,
    memory_limit: int | None,
) -> None:
    """Make a bundle folder of SOURCE: export, simplify, quantize, check, measure.

    int8 goes into the bundle only where it is within its accuracy budget and faster than float32
    on this machine.
    """
    import toolkit
    from toolkit.pipeline.export import DEFAULT_ORDER
    from toolkit.report import console, lines

    with console.Live() as live:
        bundle = toolkit.ship(
            source,
            out,
            signature=signature,
            weights=weights,
            data=data,
            fidelity=toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
            exporters=exporters or DEFAULT_ORDER,
            opset=opset,
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=live,
        )
    console.show_timings(bundle.timings)
    for file in sorted(bundle.path.iterdir()):
        click.echo(f"{file} {lines.size(file.stat().st_size)}")
