"""`onnxport doctor`"""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from toolkit.cli import options


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Show versions and usable devices, what is missing or broken, and how to mend it."""
    import toolkit
    from toolkit.report import console, lines

    found = toolkit.doctor()
    if as_json:
        lines.print_json(asdict(found))
    else:
        console.show_diagnosis(found)
    sys.exit(found.exit_code)
