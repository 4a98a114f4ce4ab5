"""`onnxport inspect`"""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options


@click.command()
@click.argument("file", type=options.PATH)
@options.as_json
def inspect(file: Path, as_json: bool) -> None:
    """Show what an ONNX FILE (or a bundle) accepts, holds and came from."""
    import toolkit
    from toolkit.report import lines

    found = toolkit.inspect(file)
    if as_json:
        lines.print_json(found.to_dict())
    else:
        lines.show_inspection(found)
