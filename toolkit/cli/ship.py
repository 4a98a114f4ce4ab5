"""`onnxport ship`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import options


@click.command()
@click.argument("source")
@options.out
@options.signature
@options.weights
@options.examples
@options.data
@options.min_sqnr
@options.exporters
@options.opset
@options.target
@options.keep_trace
@options.device("cpu")
@options.budget("10s", "For each check.")
@options.seed
@options.time_limit
@options.memory_limit
def ship(
    source: str,
    out: Path,
    signature: str | None,
    weights: Path | None,
    examples: tuple[Path, ...],
    data: Path | None,
    min_sqnr: float | None,
    exporters: tuple[str, ...],
    opset: int | None,
    target: str,
    keep_trace: bool,
    device: str,
    budget: float,
    seed: int,
    time_limit: float,
    memory_limit: int | None,
) -> None:
    """Make a bundle folder of SOURCE: export, simplify, quantize, check, measure.

    A model that writes sequences becomes a bundle for each of its graphs, and is seen to write the
    same tokens. int8 goes into a bundle only where it is within its accuracy budget and faster than
    float32 on this machine.
    """
    import toolkit
    from toolkit.pipeline.subjects import opened_source
    from toolkit.report import console, lines
    from toolkit.sequence import is_sequence

    common: dict[str, Any] = {
        "exporters": exporters,
        "opset": opset,
        "target": target,
        "keep_trace": keep_trace,
        "device": device,
        "fidelity": toolkit.Budget(min_sqnr=min_sqnr) if min_sqnr is not None else None,
        "budget": budget,
        "seed": seed,
        "time_limit": time_limit,
        "memory_limit": memory_limit,
    }
    with (
        console.Live() as live,
        opened_source(
            source, signature=signature, weights=weights, examples=list(examples) or None
        ) as model,
    ):
        if is_sequence(model.module):
            toolkit.ship_sequence(model, out, data=data, listener=live, **common)
        else:
            bundle = toolkit.ship(model, out, data=data, listener=live, **common)
    if not is_sequence(model.module):
        console.show_timings(bundle.timings)
    for file in sorted(p for p in out.rglob("*") if p.is_file()):
        click.echo(f"{file} {lines.size(file.stat().st_size)}")
