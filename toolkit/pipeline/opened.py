"""A model of a config, opened: what its files are held against, and what the lock says of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifact import OnnxArtifact
from toolkit.pipeline.subjects import is_file, open_file, opened_source, origin_of
from toolkit.project import hashes
from toolkit.project.config import ModelConfig

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


@dataclass(frozen=True)
class Opened:
    """`original`: a LoadedModel, or another ONNX file. `kept`: the file in the project, if any."""

    original: Any
    kept: OnnxArtifact | None
    facts: Mapping[str, Any]
    """Fields of `ModelResult`: source, signature, hashes, notes."""


@contextmanager
def opened(model: ModelConfig) -> Iterator[Opened]:
    """Load the source, under the signature of the config, else of the file that is kept.

    Raises InputError, UsageError where either cannot be had.
    """
    kept = open_file(Path(model.file), model.signature or None) if model.file else None
    source = model.source
    if kept is not None and not source:
        source = origin_of(kept, model.weights)
    claimed = model.signature or (kept.signature if kept and not kept.assumed else None)
    if is_file(source):
        original = open_file(source)
        signature = str(claimed or original.signature)
        facts = {"signature": signature, "source_hash": hashes.content(original)}
        yield Opened(original, kept, facts)
        return
    with opened_source(
        source,
        signature=claimed,
        weights=model.weights or None,
        examples=[Path(p) for p in model.examples] or None,
    ) as loaded:
        yield Opened(loaded, kept, _facts(loaded))


def _facts(loaded: LoadedModel) -> dict[str, Any]:
    return {
        "source": loaded.origin,
        "signature": str(loaded.signature),
        "source_hash": hashes.source(loaded),
        "weights_hash": hashes.weights(loaded),
        "weights_size": loaded.size,
        "notes": loaded.notes,
    }
