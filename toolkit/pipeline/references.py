"""What a candidate is held against, opened: eager PyTorch, or another ONNX file on any runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, read_weights
from toolkit.inference.isolated import IsolatedSession
from toolkit.parity.determinism import require_deterministic
from toolkit.parity.reference import Reference
from toolkit.pipeline.subjects import Renamed
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


def reference_model(model: LoadedModel, device: str = "cpu") -> Reference:
    """Eager PyTorch, in its own precision on `device`, and in float64 on the CPU.

    Raises InputError where it is random.
    """
    plain = plugins.runtime("pytorch").load(model, device)
    require_deterministic(model, plain)
    try:
        exact = plugins.runtime("pytorch-float64").load(model, "cpu")
        moving = getattr(exact, "moved", None)
        return Reference(plain, exact, model.weights, given=model.examples, moving=moving)
    except Exception as error:  # deepcopy runs the module's own code
        reference = Reference(plain, None, model.weights, given=model.examples)
        reference.notes.append(f"the module cannot be copied to float64: {error}")
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
