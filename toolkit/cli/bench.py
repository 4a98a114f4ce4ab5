"""`onnxport bench`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("subjects", nargs=-1, required=True, metavar="SUBJECT...")
@options.weights
@options.signature
@click.option("--size", "sizes", multiple=True, type=options.Sizes(), metavar="batch=8,...")
@options.device("cpu")
@options.budget("4s", "Over all sizes.")
@options.as_json
def bench(
    subjects: tuple[str, ...],
    weights: Path | None,
    signature: str | None,
    sizes: tuple[dict[str, int], ...],
    device: str,
    budget: float,
    as_json: bool,
) -> None:
    """Time SUBJECTs (sources, files, bundles) in turns; ratios are to the first.

    Medians over rounds in which every subject has its turn, so that a noisy machine is noisy for
    all of them.
    """
    import toolkit
    from toolkit import versions
    from toolkit.quantization import cpu
    from toolkit.report import console, lines

    timings = toolkit.bench(
        *subjects,
        signature=signature,
        weights=weights,
        device=device,
        sizes=sizes,
        budget=budget,
    )
    if as_json:
        rows = [asdict(t) for t in timings]
        lines.print_json(
            {"processor": cpu.describe(), "versions": versions.installed(), "timings": rows}
        )
    else:
        console.show_timings(timings)
