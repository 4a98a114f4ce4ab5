"""`onnxport run`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("model")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options.out
@options.device("auto")
@click.option("--batch", type=click.IntRange(min=1), help="Rows that go together (default 32).")
@options.signature
def run(
    model: str,
    inputs: tuple[str, ...],
    out: Path,
    device: str,
    batch: int | None,
    signature: str | None,
) -> None:
    """Run MODEL (a file or a bundle) on all rows of INPUT and write the outputs.

    INPUT is an .npz with an array for each input, an .npy for a model with one input, or
    NAME=FILE.npy for each. Files are read and written in batches.
    """
    import toolkit
    from toolkit.report import console

    with console.Live() as live:
        live.stage("run")
        ran = toolkit.run(
            model, list(inputs), out, device=device, batch=batch, signature=signature, listener=live
        )
        rate = ran.rows / max(ran.seconds, 1e-9)
        live.say(f"{ran.rows} rows in batches of {ran.batch} on {ran.device}, {rate:,.0f} a second")
    for name, shape in ran.shapes.items():
        click.echo(f"{out}: {name} {list(shape)}")
