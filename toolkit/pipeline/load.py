"""A session for inference in this process."""

from __future__ import annotations

from pathlib import Path

from toolkit import plugins
from toolkit.artifact import OnnxArtifact
from toolkit.inference.isolated import require_loadable
from toolkit.pipeline.subjects import open_file
from toolkit.plugins import Session
from toolkit.signature import Signature


def load(
    model: Path | str | OnnxArtifact,
    *,
    device: str = "auto",
    runtime: str = "onnxruntime",
    signature: Signature | str | None = None,
) -> Session:
    """Load an ONNX file or a bundle: `session.run({"pixels": array})["probabilities"]`.

    `device`: `cpu`, `cuda`, or `auto` for the best that works; `session.device` says which it is.
    A file without onnxport's signature is first loaded in a child process, so that one that
    crashes the runtime does not take this process with it. Raises MissingError where the device
    does not work here, InputError where the file does not load.
    """
    artifact = open_file(model, signature)
    if artifact.assumed:
        require_loadable(artifact)
    return plugins.runtime(runtime).load(artifact, device)
