"""Values that a case sets on top of its fill: `x[...]=0` for all of a tensor, `x[0,3]=1.5` for one.

A shrunk case is told this way, in its text alone. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import UsageError
from toolkit.examples import Feeds
from toolkit.signature import Signature

_EDIT = re.compile(r"(?P<name>[^\[\]=]+)\[(?P<at>\.\.\.|[\d,]*)\]=(?P<value>[^,\[\]]+)\Z")


class Edit(NamedTuple):
    """`value` as text, in full precision, at one index, or everywhere where `at` is None."""

    name: str
    at: tuple[int, ...] | None
    value: str

    def __str__(self) -> str:
        where = "..." if self.at is None else ",".join(map(str, self.at))
        return f"{self.name}[{where}]={self.value}"


def split(text: str) -> tuple[list[str], list[str]]:
    """The parts of a case's text: assignments of sizes, fill and seed, and those with an index."""
    parts = re.split(r",(?![^\[]*\])", text)
    return [p for p in parts if "[" not in p], [p for p in parts if "[" in p]


def parse(part: str, signature: Signature, sizes: Mapping[str, int]) -> Edit:
    """Read one. Raises UsageError where it fits no input of these sizes."""
    found = _EDIT.match(part)
    spec = next((s for s in signature.inputs if found and s.name == found["name"]), None)
    if not found or spec is None:
        raise UsageError(f"'{part}' sets no input", "write NAME[...]=0 or NAME[0,3]=1.5")
    at = None if found["at"] == "..." else tuple(map(int, filter(None, found["at"].split(","))))
    shape = spec.shape_for(sizes)
    if at is not None and (len(at) != len(shape) or any(i >= n for i, n in zip(at, shape))):  # noqa: B905
        raise UsageError(f"'{part}' is outside of {list(shape)}", f"'{spec.name}' is that large")
    edit = Edit(spec.name, at, found["value"])
    try:
        number(edit.value, spec.dtype)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{part}': no {spec.dtype} is written so", str(error)) from error
    return edit


def applied(feeds: Feeds, edits: Sequence[Edit]) -> Feeds:
    """The feeds with the edits made one after the other, in copies."""
    if not edits:
        return feeds
    changed = {e.name for e in edits}
    arrays = {n: np.array(a) if n in changed else a for n, a in feeds.items()}
    for edit in edits:
        array = arrays[edit.name]
        array[... if edit.at is None else edit.at] = number(edit.value, str(array.dtype))
    return arrays


def number(text: str, dtype: str) -> np.ndarray:
    """A scalar of the dtype from its text. Raises ValueError or OverflowError."""
    kind = DTYPES[dtype].kind
    with np.errstate(over="ignore"):  # infinite, as the dtype has it
        return np.asarray(float(text) if kind == "f" else int(text)).astype(numpy_dtype(dtype))


def text(value: np.generic | np.ndarray) -> str:
    """The shortest text that `number` reads back to the same value."""
    dtype = str(value.dtype)
    if DTYPES[dtype].kind != "f":
        return str(int(value))
    short = str(value)
    same = number(short, dtype).tobytes() == value.tobytes()
    return short.removesuffix(".0") if same else repr(float(value))
