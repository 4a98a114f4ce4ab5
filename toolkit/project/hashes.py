"""Hashes by which a lock tells what changed: of a file, of weights, of the source's own code.

Each is of one thing alone, so that a change of one is explained by a change of another. (The hash
that `toolkit.fingerprint` makes is of all together.)
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifact import (
    PROVENANCE_KEY,
    SEAL_KEY,
    OnnxArtifact,
    drop_metadata,
    read_graph,
    sha256,
)
from toolkit.fingerprint import loaded_files

if TYPE_CHECKING:
    from types import ModuleType

    from toolkit.model import LoadedModel


def content(artifact: OnnxArtifact) -> str:
    """SHA-256 of a file and the weights beside it, without what it says of how it was made."""
    graph = read_graph(artifact.path)
    drop_metadata(graph, PROVENANCE_KEY, SEAL_KEY)
    digest = hashlib.sha256(graph.SerializeToString(deterministic=True))
    for path in artifact.files[1:]:
        digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()


def weights(model: LoadedModel) -> str:
    """SHA-256 of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, array in sorted(model.weights().items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def source(model: LoadedModel) -> str:
    """SHA-256 of the Python that the model's classes stand in, and of what that imports.

    What is installed is left out: versions tell of it. "" where nothing is left.
    """
    files, found = dict(loaded_files()), dict[str, Path]()
    place = model.origin.rpartition(":")[0]
    waiting = {place, *(type(module).__module__ for module in model.module.modules())}
    waiting |= {n for n, path in files.items() if path.name == Path(place).name}
    while waiting:
        name = waiting.pop()
        if name in found or name not in files:
            continue
        found[name] = files[name]
        waiting |= set(_imports(files[name], sys.modules[name]))
    texts = {path.read_bytes().replace(b"\r\n", b"\n") for path in found.values()}
    return hashlib.sha256(b"".join(sorted(texts))).hexdigest() if texts else ""


def _imports(path: Path, module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                name = importlib.util.resolve_name(name, module.__package__ or module.__name__)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
