"""Where things stand in text files: a key in TOML, a definition in Python.

Places are for people to click on. Neither file is executed, and what cannot be found is line 1, or
None.
"""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(r"\s*\[{1,2}[^\[\]]+\]{1,2}")
_KEY = re.compile(r"\s*([\w.\-\"' ]+?)\s*=")


@dataclass(frozen=True)
class Place:
    """A file, relative to the root of the project and with slashes, and a line from 1."""

    file: str
    line: int


def line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line at which a key of a TOML file stands, or the innermost table of it that does."""
    found = {path: number for number, path in reversed(list(_paths(text)))}
    for depth in range(len(keys), 0, -1):
        if keys[:depth] in found:
            return found[keys[:depth]]
    return 1


def _paths(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Lines that start a table or a value, each read by the TOML parser on its own."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _path(header[0]) or table
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_path(f"{key[1]} = 0"))


def _path(statement: str) -> tuple[str, ...]:
    try:
        value = tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return ()
    path: tuple[str, ...] = ()
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path, value = (*path, key), value[0] if isinstance(value, list) else value
    return path


def definition(source: str, folder: Path) -> tuple[Path, int] | None:
    """Where `file.py:attribute` or `package.module:attribute` is defined, below `folder`."""
    place, colon, attribute = source.rpartition(":")
    if not colon or place == "zoo":
        return None
    name = attribute.partition(",")[0]
    dotted = folder.joinpath(*place.split("."))
    candidates = (folder / place, dotted.with_suffix(".py"), dotted / "__init__.py")
    path = next((p for p in candidates if p.suffix == ".py" and p.is_file()), None)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return path, 1
    return path, next((n.lineno for n in tree.body if name in _defined(n)), 1)


def place_of(source: str, folder: Path, root: Path, otherwise: tuple[Path, int]) -> Place:
    """Where a source is defined, else `otherwise` (a path and a line), relative to `root`."""
    path, line = definition(source, folder) or otherwise
    return Place(Path(os.path.relpath(path.resolve(), root)).as_posix(), line)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [
            n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
        ]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    return []
