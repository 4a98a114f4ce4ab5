"""Metadata: module paths stay, for localization; what names files of the author's machine goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.external import tensors
from toolkit.optimize.naming import PREFIX, SCOPES, listed
from toolkit.proto import graphs

if TYPE_CHECKING:
    from onnx import ModelProto

CLASSES = "pkg.torch.onnx.class_hierarchy"
"""Under this key torch's exporter keeps the classes of the modules that SCOPES names."""

TRACE = "pkg.torch.onnx.stack_trace"
"""Under this key, and in TorchScript's doc strings, are the lines that made a node."""

_NAMESPACE = "namespace"
"""Both lists in one text, as viewers show it."""

_MODULES = re.compile(rf"(?<![\w.]){re.escape(PREFIX)}(?=\w)")
_FILES = re.compile(r'(?<=File ")[^"\n]+|^[^\s(][^(\n]*(?=\(\d+\): )', re.MULTILINE)
"""The file of a line as Python prints it, or as TorchScript does: `/folder/net.py(15): forward`."""


def strip(model: ModelProto, *, keep_trace: bool = False) -> None:
    """Remove the exporter's own notes, in place: stack traces, doc strings, program dumps.

    The paths of modules stay, and begin at the user's module. With `keep_trace` stack traces stay
    as well, with files relative to the current folder, or their bare names.
    """
    for owner in _owners(model):
        trace = next((p.value for p in _notes(owner) if p.key == TRACE), "")
        trace = _without_folders(trace or _described(owner)) if keep_trace else ""
        kept = {p.key: p.value for p in _notes(owner) if not p.key.startswith("pkg.")}
        kept |= _hierarchy({p.key: p.value for p in _notes(owner)})
        if trace:
            kept[TRACE] = trace
        if hasattr(owner, "doc_string"):
            owner.ClearField("doc_string")
        if hasattr(owner, "metadata_props"):
            del owner.metadata_props[:]
            for key, value in kept.items():
                entry = owner.metadata_props.add()
                entry.key, entry.value = key, value


def _owners(model: ModelProto) -> Iterator[Any]:
    """Everything that can carry metadata or a doc string."""
    yield model
    yield from tensors(model)
    for holder in (*graphs(model.graph), *model.functions):
        yield holder
        yield from holder.value_info
        for node in holder.node:
            yield node
            yield from node.attribute
    for graph in graphs(model.graph):
        yield from graph.input
        yield from graph.output


def _notes(owner: Any) -> Any:
    return getattr(owner, "metadata_props", ())


def _described(owner: Any) -> str:
    """A node's doc string: TorchScript puts the stack trace there."""
    return owner.doc_string if hasattr(owner, "op_type") else ""


def _hierarchy(notes: dict[str, str]) -> dict[str, str]:
    """The paths and classes of modules from the user's module on, without the wrapper around it."""
    scopes, classes = (listed(notes.get(key, "")) for key in (SCOPES, CLASSES))
    if not scopes or len(scopes) != len(classes):
        found = {key: notes[key] for key in (_NAMESPACE, SCOPES, CLASSES) if key in notes}
        return {key: _MODULES.sub("", value) for key, value in found.items()}
    levels = list(zip(scopes, classes, strict=True))
    if len(levels) > 2 and levels[0][0] == "" and levels[1][0] == PREFIX.rstrip("."):
        levels = [("", levels[1][1]), *levels[2:]]
    levels = [(_MODULES.sub("", s), c) for s, c in levels if not s.startswith("_empty_nn_module")]
    named = {
        _NAMESPACE: "/".join(f"{s}: {c}" for s, c in levels),
        SCOPES: str([s for s, _ in levels]),
        CLASSES: str([c for _, c in levels]),
    }
    return named if _NAMESPACE in notes else {k: v for k, v in named.items() if k != _NAMESPACE}


def _without_folders(trace: str) -> str:
    here = Path.cwd()

    def named(match: re.Match[str]) -> str:
        file = Path(match[0])
        return str(file.relative_to(here)) if file.is_relative_to(here) else file.name

    return _FILES.sub(named, trace)
