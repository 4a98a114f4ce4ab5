"""Generators: of a bundle, or of the PyTorch model itself; and rows of data through them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import atomic, plugins, sequence
from toolkit.artifact import BUNDLED, open_artifact
from toolkit.dtypes import numpy_dtype
from toolkit.errors import InputError
from toolkit.inference.data import from_arrays, open_data
from toolkit.inference.generation import Generator, written
from toolkit.model import LoadedModel
from toolkit.pipeline.ship import INT8, MANIFEST
from toolkit.pipeline.subjects import opened_source
from toolkit.sequence import DECODER, ENCODER, IDS, MASK, Generation
from toolkit.signature import Signature


@dataclass(frozen=True)
class Generated:
    rows: int
    tokens: int
    device: str
    seconds: float


def generator(
    subject: Any,
    *,
    device: str = "auto",
    runtime: str = "onnxruntime",
    int8: bool = False,
    weights: Path | str | None = None,
) -> Generator:
    """A bundle folder, or a PyTorch source or module, ready to write:
    `generator("bundle").generate({"source": ids, "lengths": lengths}, beams=4)`.

    `int8`: use the int8 file of each graph of the bundle that has one. `weights`: of a source.
    Raises InputError where `subject` does not write sequences.
    """
    if isinstance(subject, Path) or (isinstance(subject, str) and Path(subject).is_dir()):
        return bundle_generator(Path(subject), recorded(Path(subject)), device, runtime, int8)
    with opened_source(subject, weights=weights) as model:
        require_sequence(model)
        return eager_generator(sequence.parts(model), sequence.generation(model), device)


def recorded(bundle: Path) -> Generation:
    """What the manifest of a bundle says of its tokens. Raises InputError where it says nothing."""
    try:
        return Generation(**json.loads((bundle / MANIFEST).read_text())["generation"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{bundle}' is not the bundle of a model that writes sequences",
            "ship zoo:gpt, zoo:transformer, or a module with `parts` and `generation`",
        ) from error


def require_sequence(model: LoadedModel) -> None:
    """Raises InputError for a model that is one graph and writes nothing."""
    if not sequence.is_sequence(model.module):
        raise InputError(
            f"'{model.origin}' does not write sequences",
            "a module that does has the attributes `parts` and `generation`",
        )


def bundle_generator(
    folder: Path,
    generation: Generation,
    device: str,
    runtime: str = "onnxruntime",
    int8: bool = False,
) -> Generator:
    """The graphs of a bundle folder, in `runtime` on `device`."""
    sessions = {}
    for name in (ENCODER, DECODER):
        file = folder / name / (INT8 if int8 and (folder / name / INT8).exists() else BUNDLED)
        if name == DECODER or file.exists():
            sessions[name] = plugins.runtime(runtime).load(open_artifact(file), device)
    return Generator(sessions[DECODER], generation, sessions.get(ENCODER))


def generate(
    bundle: Path | str,
    data: Path | str | Mapping[str, np.ndarray],
    out: Path | str,
    *,
    most: int | None = None,
    beams: int = 1,
    length_penalty: float = 1.0,
    int8: bool = False,
    device: str = "auto",
) -> Generated:
    """Write what follows each row of `data` to an `.npz`: `tokens` [rows, longest], filled up with
    the end token, and `lengths` [rows]. `data` is as in `ship_sequence`."""
    subject = generator(Path(bundle), device=device, int8=int8)
    rows = opened_rows(data, subject)
    start = time.perf_counter()
    options = {"most": most, "beams": beams, "length_penalty": length_penalty}
    texts = written(subject, rows, **options)
    seconds = time.perf_counter() - start
    lengths = np.array([len(w) for w in texts], np.int64)
    tokens = np.full((len(texts), max(lengths, default=0)), subject.generation.end, np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    with atomic.replacing(Path(out)) as scratch, scratch.open("wb") as file:
        np.savez(file, tokens=tokens, lengths=lengths)
    return Generated(len(texts), int(lengths.sum()), subject.decoder.device, seconds)


def eager_generator(
    parts: Mapping[str, LoadedModel],
    generation: Generation,
    device: str,
    *,
    precision: str = "pytorch",
) -> Generator:
    """The modules themselves; `precision` is the runtime pytorch, or pytorch-float64."""
    runtime = plugins.runtime(precision)
    sessions = {name: runtime.load(part, device) for name, part in parts.items()}
    return Generator(sessions[DECODER], generation, sessions.get(ENCODER))


def opened_rows(
    data: Path | str | Mapping[str, np.ndarray], subject: Generator
) -> dict[str, np.ndarray]:
    """Rows for the encoder, `ids` and `mask` for a decoder alone, or all of these where a prompt
    holds placeholders: names and counts must fit."""
    contract = _contract(subject)
    opened = from_arrays(data, contract) if isinstance(data, Mapping) else open_data(data, contract)
    for spec in contract.inputs:
        found = opened.arrays[spec.name].dtype
        if found != numpy_dtype(spec.dtype):
            raise InputError(
                f"input '{spec.name}' is {found}, expected {spec.dtype}",
                f"convert with x.astype('{spec.dtype}')",
            )
    return {name: np.asarray(array) for name, array in opened.arrays.items()}


def _contract(subject: Generator) -> Signature:
    decoder = subject.decoder.signature
    encoder = subject.encoder.signature if subject.encoder else None
    if encoder and subject.generation.placeholder is None:
        return encoder
    prompts = tuple(s for s in decoder.inputs if s.name in (IDS, MASK))
    used = {n for s in prompts for n in s.shape}
    dims = {d.name: d for d in decoder.dims if d.name in used}
    if encoder is None:
        return Signature(prompts, tuple(dims.values()))
    dims |= {d.name: d for d in encoder.dims}
    return Signature((*encoder.inputs, *prompts), tuple(dims.values()))
