"""What a caller may name (a file, a bundle, a source, a module) as a candidate or a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.artifact import Declared, OnnxArtifact, located, open_artifact
from toolkit.errors import UsageError
from toolkit.plugins import Session
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel

Source = "str | nn.Module | tuple[nn.Module, Signature | str] | LoadedModel"
Subject = "str | Path | OnnxArtifact | nn.Module | LoadedModel"

PYTORCH, ONNXRUNTIME = "pytorch", "onnxruntime"
"""The usual runtimes of sources and of files."""


def is_file(subject: Any) -> bool:
    """True for what names an ONNX file or a bundle, false for what names PyTorch."""
    if isinstance(subject, OnnxArtifact):
        return True
    if not isinstance(subject, (str, Path)):
        return False
    path = Path(subject)
    return path.suffix == ".onnx" or isinstance(subject, Path) or path.is_dir()


def open_file(subject: Any, signature: Signature | str | None = None) -> OnnxArtifact:
    """The artifact that a path or a bundle folder names. Raises InputError where there is none."""
    if isinstance(subject, OnnxArtifact):
        return subject
    return open_artifact(located(subject), signature)


@contextmanager
def opened_source(
    source: Any,
    *,
    signature: Signature | str | None = None,
    weights: Any = None,
    examples: Any = None,
) -> Iterator[LoadedModel]:
    """Load a PyTorch model; a module of the caller's gets its training mode back at the end."""
    from toolkit import source as sources

    caller = source[0] if isinstance(source, tuple) else source
    modes = {m: m.training for m in caller.modules()} if hasattr(caller, "modules") else {}
    try:
        yield sources.load(source, signature=signature, weights=weights, examples=examples)
    finally:
        for module, training in modes.items():
            module.training = training


def origin_of(artifact: OnnxArtifact, weights: Any) -> str:
    """The source that a file says it was made from. Raises UsageError where it says none."""
    made_from = artifact.provenance
    if ":" not in made_from.source and not made_from.source.endswith(".pt2"):
        raise UsageError(
            f"'{artifact.path}' names no source that it was made from",
            "name the original: --against file.py:attribute, or another .onnx file",
        )
    if not weights:
        require_drawn(artifact.path, made_from.source, made_from.weights)
    return made_from.source


def require_drawn(made: Path, source: str, digest: str) -> None:
    """Raises UsageError for what was made with trained weights, of that digest."""
    if digest:
        raise UsageError(
            f"'{made}' was made from {source} with trained weights",
            f"pass them: --weights FILE (its SHA-256 starts with {digest[:12]})",
        )


class Renamed:
    """A file's session under the names of a signature.

    Where the names are not the same ones, inputs or outputs are matched by position.
    """

    def __init__(self, session: Session, signature: Signature, artifact: OnnxArtifact) -> None:
        self.signature, self.device, self._session = signature, session.device, session
        self._inputs = matched([s.name for s in signature.inputs], artifact.inputs)
        self._outputs = matched([s.name for s in signature.outputs], artifact.outputs)
        theirs = {name: ours for ours, name in (*self._inputs.items(), *self._outputs.items())}
        self.inputs, self.outputs = (
            tuple(replace(d, name=theirs.get(d.name, d.name)) for d in declared)
            for declared in (artifact.inputs, artifact.outputs)
        )

    @property
    def by_position(self) -> str:
        """`logits is their output_0` for what had to be matched by position; else empty."""
        pairs = {**self._inputs, **self._outputs}.items()
        return ", ".join(f"{ours} is {theirs}" for ours, theirs in pairs if ours != theirs)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = {theirs: ours for ours, theirs in self._outputs.items()}
        outputs = self._session.run({self._inputs.get(n, n): a for n, a in feeds.items()})
        return {names.get(n, n): a for n, a in outputs.items()}


def matched(names: list[str], declared: tuple[Declared, ...]) -> dict[str, str]:
    """What the file calls each of the names: the same, or what stands at its position."""
    theirs = [d.name for d in declared]
    if set(theirs) == set(names) or len(theirs) != len(names):
        return {name: name for name in names if name in theirs}
    return dict(zip(names, theirs, strict=True))


def called(name: str, runtime: str, usual: str = ONNXRUNTIME) -> str:
    """`model.onnx (reference)` for a subject on another runtime than the usual one."""
    return name if runtime == usual else f"{name} ({runtime})"


def require_pytorch(runtime: str) -> None:
    """Raises UsageError for a runtime of files."""
    if runtime not in ("", PYTORCH):
        raise UsageError(f"{runtime} runs no PyTorch source", "export it first: onnxport export")
