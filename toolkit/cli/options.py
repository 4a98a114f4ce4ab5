"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from toolkit.project.units import seconds

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Duration(click.ParamType[float]):
    """`30s`, `2m`, `500ms` or a plain number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = seconds(value)
        if found is None:
            self.fail(f"'{value}' is not a duration; write 30s or 2m", param, ctx)
        return found


class Memory(click.ParamType[int]):
    """`4GB`, `512MB`, in powers of 1024."""

    name = "memory"
    _UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}  # noqa: RUF012

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]B)", str(value).upper())
        if not found:
            self.fail(f"'{value}' is not an amount of memory; write 4GB", param, ctx)
        return int(float(found[1]) * self._UNITS[found[2]])


class SignatureText(click.ParamType[str]):
    """The text form of a signature, or `@FILE` that holds it."""

    name = "signature"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if not text.startswith("@"):
            return text
        path = Path(text[1:])
        if not path.is_file():
            self.fail(f"there is no file '{path}'", param, ctx)
        return path.read_text()


class Sizes(click.ParamType[dict[str, int]]):
    """`batch=8,tokens=128`."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        pairs = [part.partition("=") for part in str(value).split(",")]
        if not all(name and number.isdigit() for name, _, number in pairs):
            self.fail(f"'{value}' are not sizes; write batch=8,tokens=128", param, ctx)
        return {name: int(number) for name, _, number in pairs}


PATH = click.Path(path_type=Path)

signature = click.option(
    "--signature",
    type=SignatureText(),
    metavar="TEXT|@FILE",
    help="What the model accepts, in place of what it or the file says.",
)
weights = click.option(
    "--weights", type=PATH, metavar="FILE", help="A state dict: .safetensors, or .pt without code."
)
out = click.option("-o", "--out", type=PATH, required=True, metavar="PATH", help="What to write.")
seed = click.option("--seed", default=0, show_default=True, help="Of the cases and random data.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
time_limit = click.option(
    "--time-limit", type=Duration(), default="10m", show_default=True, help="For native code."
)
memory_limit = click.option(
    "--memory-limit", type=Memory(), metavar="4GB", help="For native code; none by default."
)
min_sqnr = click.option(
    "--min-sqnr",
    type=float,
    metavar="DB",
    help="Accuracy budget of int8: least signal-to-noise ratio in dB (default 10).",
)
examples = click.option(
    "--example-inputs",
    "examples",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Inputs (.npz, .npy) to run first; without a signature, one is proposed. Repeat.",
)
data = click.option(
    "--data",
    type=PATH,
    metavar="FILE",
    help="Rows (.npz, .npy): they calibrate and judge int8, and are run by a check.",
)


exporters = click.option(
    "--exporter", "exporters", multiple=True, metavar="NAME", help="Only this one; repeat."
)
opset = click.option(
    "--opset", type=int, metavar="N", help="Of the file: 20, or the newest that the target loads."
)
target = click.option(
    "--target", default="", metavar="RUNTIME", help="What must load it: onnxruntime==1.20."
)
keep_trace = click.option(
    "--keep-trace", is_flag=True, help="Keep your source lines in the file, without folders."
)


def device(default: str) -> Decorator:
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default=default,
        show_default=True,
        help="Where ONNX Runtime runs; cuda never falls back.",
    )


def budget(default: str, what: str) -> Decorator:
    return click.option("--budget", type=Duration(), default=default, show_default=True, help=what)
