"""`onnxport generate`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("bundle")
@click.argument("inputs", metavar="INPUT")
@options.out
@click.option("--most", type=click.IntRange(min=1), help="Tokens to generate at most.")
@click.option("--beams", default=1, show_default=True, help="Hypotheses to keep; 1 is greedy.")
@click.option(
    "--length-penalty",
    default=1.0,
    show_default=True,
    help="Log-probabilities are divided by length to this power.",
)
@click.option("--int8", is_flag=True, help="Use the int8 file of each graph that has one.")
@options.device("auto")
def generate(
    bundle: str,
    inputs: str,
    out: Path,
    most: int | None,
    beams: int,
    length_penalty: float,
    int8: bool,
    device: str,
) -> None:
    """Write the tokens that follow each row of INPUT, by the encoder and decoder of BUNDLE.

    INPUT is an .npz with the inputs of the encoder, or, where there is none, with the prompts: ids
    and mask (0 where a row is padded, on the left). A model that reads pictures or sounds among
    words takes both. The .npz written holds tokens and lengths.
    """
    import toolkit
    from toolkit.report import console

    with console.Live() as live:
        live.stage("generate")
        done = toolkit.generate(
            bundle,
            inputs,
            out,
            most=most,
            beams=beams,
            length_penalty=length_penalty,
            int8=int8,
            device=device,
        )
        rate = done.tokens / max(done.seconds, 1e-9)
        live.say(f"{done.rows} rows, {done.tokens} tokens on {done.device}, {rate:,.0f} a second")
    click.echo(str(out))
