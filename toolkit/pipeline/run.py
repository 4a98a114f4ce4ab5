"""Inference over files: arrays in, arrays out, any number of rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.artifact import OnnxArtifact
from toolkit.errors import UsageError
from toolkit.inference.data import Data, from_arrays, open_data
from toolkit.inference.stream import run_to_file
from toolkit.pipeline.load import load
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature


@dataclass(frozen=True)
class Ran:
    """What came out: rows, the shape of each output, where it ran and for how long."""

    out: Path
    rows: int
    batch: int
    shapes: Mapping[str, tuple[int, ...]]
    device: str
    seconds: float


def run(
    model: Path | str | OnnxArtifact,
    inputs: Path | str | Sequence[str] | Mapping[str, np.ndarray],
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    runtime: str = "onnxruntime",
    device: str = "auto",
    batch: int | None = None,
    listener: Listener = SILENT,
) -> Ran:
    """Run every row of `inputs` and write the outputs to `out` (`.npz`, or `.npy` for one output).

    `inputs`: an `.npz` or `.npy` file, `NAME=FILE.npy` texts, or arrays by name. Rows go through in
    batches, and files are read and written piece by piece. Raises InputError, and writes nothing,
    where the data does not fit the signature.
    """
    session = load(model, device=device, runtime=runtime, signature=signature)
    data = _opened(inputs, session.signature)
    start = time.perf_counter()
    shapes = run_to_file(session, data, Path(out), batch=batch, progress=listener.progress)
    seconds = time.perf_counter() - start
    size = min(data.batch_size(batch), data.rows)
    return Ran(Path(out), data.rows, size, shapes, session.device, seconds)


def _opened(
    inputs: Path | str | Sequence[str] | Mapping[str, np.ndarray], signature: Signature
) -> Data:
    if isinstance(inputs, Mapping):
        return from_arrays(inputs, signature)
    if isinstance(inputs, (str, Path)):
        inputs = [str(inputs)]
    if len(inputs) == 1 and ("=" not in inputs[0] or Path(inputs[0]).exists()):
        return open_data(inputs[0], signature)
    arrays: dict[str, np.ndarray] = {}
    for text in inputs:
        name, equals, path = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' does not say which input it is", "write NAME=FILE.npy")
        spec = next((s for s in signature.inputs if s.name == name), None)
        if spec is None:
            known = ", ".join(s.name for s in signature.inputs)
            raise UsageError(f"there is no input '{name}'", f"inputs are: {known}")
        alone = Signature((spec,), tuple(d for d in signature.dims if d.name in spec.shape))
        arrays |= open_data(path, alone).arrays
    return from_arrays(arrays, signature)
