"""What a candidate is held against, opened: eager PyTorch, or another ONNX file on any runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, read_weights
from toolkit.errors import OnnxportError
from toolkit.inference.isolated import IsolatedSession
from toolkit.parity.determinism import require_deterministic
from toolkit.parity.reference import DRAWS, Reference
from toolkit.parity.settings import of_module
from toolkit.pipeline.golden import GOLDEN, is_golden, read_golden
from toolkit.pipeline.rows import fitting, shown_of
from toolkit.pipeline.subjects import (
    ONNXRUNTIME,
    Renamed,
    called,
    is_file,
    open_file,
    opened_source,
    origin_of,
    require_pytorch,
)
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


LARGE = 256 << 20
"""Bytes of weights of a model that is asked about FEW neighbours: each takes seconds."""

FEW = 2
"""Of eight draws the widest was at most 1.8 times the wider of two (72 outputs of the zoo's mlp,
cnn, lstm and transformer); what two leave unexplained is heard on appeal, as anything is."""


def reference_model(model: LoadedModel, device: str = "cpu") -> Reference:
    """Eager PyTorch, in its own precision on `device`, and in float64 on the CPU.

    Raises InputError where it is random.
    """
    plain = plugins.runtime("pytorch").load(model, device)
    require_deterministic(model, plain)
    try:
        exact = plugins.runtime("pytorch-float64").load(model, "cpu")
        moving = getattr(exact, "moved", None)
        reference = Reference(
            plain,
            exact,
            model.weights,
            given=model.examples,
            moving=moving,
            draws=FEW if model.size > LARGE else DRAWS,
        )
    except Exception as error:  # deepcopy runs the module's own code
        reference = Reference(plain, None, model.weights, given=model.examples)
        reference.notes.append(f"the module cannot be copied to float64: {error}")
    reference.settings = partial(of_module, model.module)
    reference.told = getattr(plain, "told", reference.told)
    return reference


@contextmanager
def reference_file(
    original: OnnxArtifact, runtime: str = "onnxruntime", device: str = "cpu"
) -> Iterator[Reference]:
    """An ONNX file. On ONNX Runtime, optimized and as written: their difference is the rounding
    that it allows itself. On another runtime, the graph in float64 beside it."""
    deep = LazyFloat64(original, original.signature)
    with IsolatedSession(original, runtime=runtime, device=device) as plain:
        if runtime != "onnxruntime":
            yield Reference(plain, deep, partial(read_weights, original))
            return
        with IsolatedSession(original, runtime="onnxruntime-unoptimized", device=device) as written:
            yield Reference(plain, written, partial(read_weights, original), lambda: deep)


class LazyFloat64:
    """A file's graph in float64, loaded when it is first run. Raises InputError where it cannot."""

    device = "cpu"

    def __init__(self, artifact: OnnxArtifact, signature: Signature) -> None:
        self.signature, self._artifact = signature, artifact
        self._session: Renamed | None = None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._session is None:
            loaded = plugins.runtime("reference-float64").load(self._artifact, "cpu")
            self._session = Renamed(loaded, self.signature, self._artifact)
        return self._session.run(feeds)


class Asked(NamedTuple):
    """What the caller said of the original."""

    signature: Signature | str | None
    weights: Any
    data: Any
    examples: Any
    runtime: str
    device: str


class Opened(NamedTuple):
    """An original that is open, its name, and the file or the module that it is (a recording is
    neither)."""

    reference: Reference
    name: str
    file: OnnxArtifact | None = None
    model: LoadedModel | None = None


def opened_reference(
    against: Any, artifact: OnnxArtifact | None, asked: Asked, stack: ExitStack
) -> Opened:
    """The original, open until the stack is left.

    The source that a file names, or the recording beside it where that cannot be loaded here.
    """
    if is_golden(against):
        return Opened(*read_golden(against))
    if is_file(against):
        original = open_file(against, asked.signature)
        runtime = asked.runtime or ONNXRUNTIME
        reference = stack.enter_context(reference_file(original, runtime, asked.device))
        shown = shown_of(asked.examples, asked.data, original.signature, artifact)
        reference.given = fitting(shown or (), original.signature)
        return Opened(reference, called(original.path.name, runtime), original)
    require_pytorch(asked.runtime)
    if against is not None or artifact is None:
        return _eager(against, artifact, asked, stack)
    recording = artifact.path.with_name(GOLDEN)
    try:
        return _eager(origin_of(artifact, asked.weights), artifact, asked, stack)
    except (OnnxportError, ImportError) as error:
        if not recording.is_file():
            raise
        reference, name = read_golden(recording)
        reason = error.message if isinstance(error, OnnxportError) else str(error)
        reference.notes.append(f"the source cannot be loaded here: {reason}")
        return Opened(reference, name)


def _eager(against: Any, artifact: OnnxArtifact | None, asked: Asked, stack: ExitStack) -> Opened:
    claimed = asked.signature
    if artifact is not None and not artifact.assumed:
        claimed = asked.signature or artifact.signature
    shown = shown_of(asked.examples, asked.data, claimed, artifact)
    loading = opened_source(against, signature=claimed, weights=asked.weights, examples=shown)
    model = stack.enter_context(loading)
    reference = reference_model(model, asked.device)
    reference.notes[:0] = [*model.notes, *_other_weights(model.digest, artifact)]
    return Opened(reference, model.origin, model=model)


def _other_weights(digest: str, artifact: OnnxArtifact | None) -> list[str]:
    if artifact is not None and artifact.provenance.weights not in ("", digest):
        return ["the weights file is not the one that the model was made from"]
    return []
