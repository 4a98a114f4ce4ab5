"""The command line: one file a command; it parses, makes one call into the library, prints."""

from __future__ import annotations

import atexit
import signal
import sys
from importlib import import_module
from typing import Any

import click

from toolkit.errors import OnnxportError

COMMANDS = (
    *(
        "ship",
        "export",
        "simplify",
        "quantize",
        "check",
        "run",
        "generate",
        "bench",
        "inspect",
        "zoo",
        "doctor",
    ),
)
"""In the order of --help: the whole way first, then its stages."""


class _Commands(click.Group):
    """Imports a command's file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"toolkit.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show where an error came from.")
@click.version_option(package_name="onnxport", message="onnxport %(version)s")
def cli(traceback: bool) -> None:
    """From a PyTorch model to ONNX that is proven to behave the same.

    A SOURCE is file.py:attribute, package.module:attribute, zoo:NAME or file.pt2, with arguments
    for a factory after commas: zoo:cnn,size=8.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Errors are two lines on stderr; see README for exit codes."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Once a command is done, Ctrl-C while Python winds up (a second, with torch) is too late to
    # turn its exit code into that of a process killed by a signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        cli.main(arguments, standalone_mode=False)
    except OnnxportError as error:
        _fail(error.message, error.hint, error.exit_code, arguments)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "onnxport"
        _fail(error.format_message(), f"see {command} --help", 2, arguments)
    except click.ClickException as error:
        _fail(error.format_message(), "", error.exit_code, arguments)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", "what was there before is unchanged", 130, arguments)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on: say nothing more
        sys.exit(141)
    except MemoryError:
        _fail("out of memory", "use smaller sizes or batches", 5, arguments)
    except OSError as error:
        what = f"{error.strerror or error}: '{error.filename}'"
        _fail(what, "is the path right, the folder writable, the disk not full?", 3, arguments)
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        _fail(f"internal: {text}", "a bug: please report it with --traceback", 70, arguments)


def _fail(message: str, hint: str, code: int, arguments: list[str]) -> Any:
    if "--traceback" in arguments:
        import traceback

        traceback.print_exc()
    click.echo(f"{click.style('error:', fg='red', bold=True)} {_line(message)}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='cyan')}  {_line(hint)}", err=True)
    sys.exit(code)


def _line(text: str) -> str:
    return " ".join(text.split())
