"""`onnxport.toml`, or `[tool.onnxport]` of `pyproject.toml`: the models that a project checks.

    budget = "20s"                     # what stands above the models holds for all of them

    [models.digits]
    source = "model.py:build"
    stages = ["export", "int8"]

Every key is a field of `ModelConfig`. What is wrong with a file is said with its line.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import InputError, UsageError
from toolkit.project.lines import line_of
from toolkit.project.units import seconds

CONFIG, PYPROJECT, LOCK = "onnxport.toml", "pyproject.toml", "parity.lock"

STAGES = ("export", "simplify", "int8")
DEVICES = ("cpu", "cuda", "auto")

SIZE_BAND = 0.05
"""What a file may grow by without having got something that it did not have. Written by onnxport,
dynamo and torchscript, the files of the zoo differ by 0.1 to 1.1 %, the smallest (28 kB) by 2.1 %:
names and constants."""

LATENCY_BAND = 1.0
"""Twice the locked ratio, as for errors. On two cores that others used as well the ratio of one
small model to PyTorch measured 0.003 to 0.09 in a row: lock latencies on a machine at rest."""


@dataclass(frozen=True)
class ModelConfig:
    """One model: what it is made from, what is checked, and how far it may drift."""

    name: str
    source: Any = ""
    """As on the command line; without one, what `file` says that it was made from."""
    file: str = ""
    """An ONNX file or a bundle, where one is kept; else it is exported into a temporary folder."""
    signature: str = ""
    weights: str = ""
    data: str = ""
    examples: tuple[str, ...] = ()
    stages: tuple[str, ...] = ("export",)
    devices: tuple[str, ...] = ("cpu",)
    exporters: tuple[str, ...] = ()
    opset: int | None = None
    target: str = ""
    budget: float = 30.0
    """Seconds for the cases of one check."""
    cases: int = 128
    seed: int = 0
    min_sqnr: float | None = None
    """dB, of int8."""
    rtol: float | None = None
    atol: float | None = None
    size_band: float = SIZE_BAND
    """A file may grow by this share of its locked size."""
    latency_band: float = LATENCY_BAND
    """Its time over PyTorch's may grow by this share of the locked ratio."""
    line: int = 1
    """Where it stands in the file."""


@dataclass(frozen=True)
class ProjectConfig:
    """A config file that was read; paths in it are relative to its folder."""

    path: Path
    models: tuple[ModelConfig, ...]

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def lock(self) -> Path:
        return self.folder / LOCK

    def named(self, names: tuple[str, ...]) -> tuple[ModelConfig, ...]:
        """The models of these names, all where there are none. Raises UsageError for another."""
        known = {model.name: model for model in self.models}
        for name in names:
            if name not in known:
                raise UsageError(
                    f"there is no model '{name}' in {self.path.name}", _nearest(name, tuple(known))
                )
        return tuple(known[name] for name in dict.fromkeys(names)) or self.models


def find_config(start: Path | None = None) -> Path | None:
    """The config of a folder, or of the nearest one above it."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder / CONFIG
        if _has_table(folder / PYPROJECT):
            return folder / PYPROJECT
    return None


def read_config(path: Path | str | None = None) -> ProjectConfig:
    """Read a config, the one of this folder or above it by default.

    Raises UsageError where there is none, InputError with line, key and the nearest known key where
    it is not as it must be.
    """
    found = Path(path) if path else find_config()
    if found is None:
        raise UsageError(
            f"there is no {CONFIG} here or above, and no [tool.onnxport] in a {PYPROJECT}",
            f'name a file to check, or write {CONFIG}: [models.NAME], source = "model.py:build"',
        )
    if not found.is_file():
        raise UsageError(f"there is no file '{found}'", "check the path after --config")
    text = found.read_text(encoding="utf-8")
    prefix = ("tool", "onnxport") if found.name == PYPROJECT else ()
    table = _table(text, prefix, found)
    return ProjectConfig(found.resolve(), _Reader(found, text, prefix).models(table))


def names_models(arguments: tuple[str, ...]) -> bool:
    """Whether what was passed to a check are names of the config here, or all of it is meant.

    What has a colon, a slash or the suffix of a file is none; another word is the file or folder
    of that name only where the config has no such model.
    """
    if any(":" in a or "/" in a or os.sep in a or a.endswith(".onnx") for a in arguments):
        return False
    if not arguments:
        return True
    found = find_config()
    if found is None:
        return False
    known = {model.name for model in read_config(found).models}
    return any(a in known or not Path(a).exists() for a in arguments)


class Kind(NamedTuple):
    """How a value is read: None where it is not one, and what to write instead."""

    read: Callable[[Any], Any]
    expected: str


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    return float(value) if number else None


def _texts(value: Any) -> tuple[str, ...] | None:
    several = [value] if isinstance(value, str) else value
    whole = isinstance(several, list) and all(isinstance(v, str) for v in several)
    return tuple(several) if whole else None


def _some_of(known: tuple[str, ...]) -> Kind:
    def read(value: Any) -> tuple[str, ...] | None:
        found = _texts(value)
        return found if found and set(found) <= set(known) else None

    return Kind(read, "write some of " + ", ".join(f'"{name}"' for name in known))


TEXT = Kind(_text, 'write text: "..."')
TEXTS = Kind(_texts, 'write a list of texts: ["...", "..."]')
WHOLE = Kind(_whole, "write a whole number, not negative")
NUMBER = Kind(_number, "write a number, not negative")
DURATION = Kind(seconds, 'write "30s", "2m" or a number of seconds')

OF_A_MODEL: Mapping[str, Kind] = {
    "source": TEXT,
    "file": TEXT,
    "signature": TEXT,
    "weights": TEXT,
    "data": TEXT,
    "examples": TEXTS,
}
OF_ALL: Mapping[str, Kind] = {
    "stages": _some_of(STAGES),
    "devices": _some_of(DEVICES),
    "exporters": TEXTS,
    "opset": WHOLE,
    "target": TEXT,
    "budget": DURATION,
    "cases": WHOLE,
    "seed": WHOLE,
    "min_sqnr": NUMBER,
    "rtol": NUMBER,
    "atol": NUMBER,
    "size_band": NUMBER,
    "latency_band": NUMBER,
}
"""May also stand above the models, for all of them."""

assert {f.name for f in fields(ModelConfig)} == {*OF_A_MODEL, *OF_ALL, "name", "line"}


class _Reader:
    """Turns the table of one file into models; knows where in the file a key stands."""

    def __init__(self, path: Path, text: str, prefix: tuple[str, ...]) -> None:
        self._path, self._text, self._prefix = path, text, prefix

    def models(self, table: Mapping[str, Any]) -> tuple[ModelConfig, ...]:
        general = {key: value for key, value in table.items() if key != "models"}
        defaults = dict(self._values(general, OF_ALL, (), ("models",)))
        listed = table.get("models", {})
        if not isinstance(listed, dict) or not listed:
            raise self._wrong(
                "lists no models", 'add one: [models.NAME], source = "model.py:build"', ("models",)
            )
        return tuple(self._model(name, values, defaults) for name, values in listed.items())

    def _model(self, name: str, values: Any, defaults: Mapping[str, Any]) -> ModelConfig:
        keys = ("models", name)
        if not isinstance(values, dict):
            hint = f"write [{'.'.join((*self._prefix, *keys))}] and its keys below"
            raise self._wrong(f"'models.{name}' is not a table", hint, keys)
        own = dict(self._values(values, {**OF_A_MODEL, **OF_ALL}, keys))
        if not own.get("source") and not own.get("file"):
            hint = 'write source = "model.py:build", or file = "model.onnx"'
            raise self._wrong(f"'models.{name}' has no source and no file", hint, keys)
        if own.get("signature", "").startswith("@"):
            own["signature"] = self._signature(own["signature"][1:], (*keys, "signature"))
        return ModelConfig(name=name, **{**defaults, **own}, line=self._line(keys))

    def _values(
        self,
        table: Mapping[str, Any],
        known: Mapping[str, Kind],
        keys: tuple[str, ...],
        more: tuple[str, ...] = (),
    ) -> Iterator[tuple[str, Any]]:
        where = ".".join(keys) or "the top"
        for key, value in table.items():
            if key not in known:
                hint = _nearest(key, (*known, *more))
                if key in OF_A_MODEL:
                    hint = "it is a key of one model: put it below [models.NAME]"
                raise self._wrong(f"there is no key '{key}' at {where}", hint, (*keys, key))
            read = known[key].read(value)
            if read is None:
                what = f"'{'.'.join((*keys, key))}' is {value!r}"
                raise self._wrong(what, known[key].expected, (*keys, key))
            yield key, read

    def _signature(self, name: str, keys: tuple[str, ...]) -> str:
        try:
            return (self._path.parent / name).read_text(encoding="utf-8")
        except OSError as error:
            hint = "it is relative to the folder of the config"
            raise self._wrong(f"there is no file '{name}'", hint, keys) from error

    def _wrong(self, what: str, hint: str, keys: tuple[str, ...]) -> InputError:
        return InputError(f"{self._path.name} line {self._line(keys)}: {what}", hint)

    def _line(self, keys: tuple[str, ...]) -> int:
        return line_of(self._text, (*self._prefix, *keys))


def _table(text: str, prefix: tuple[str, ...], path: Path) -> Mapping[str, Any]:
    try:
        table: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0]
        hint = "give each model a name of its own" if " twice" in what else "see https://toml.io"
        where = f" line {line}" if line.isdigit() else ""
        raise InputError(f"{path.name}{where}: {what}", hint) from error
    for key in prefix:
        table = table.get(key, {})
    return table if isinstance(table, dict) else {}


def _has_table(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return "onnxport" in tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def _nearest(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, 1)
    return f"did you mean '{close[0]}'?" if close else "it has: " + ", ".join(known)
