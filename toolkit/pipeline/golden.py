"""Recordings of a reference as files: golden.safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from toolkit import atomic, versions
from toolkit.errors import InputError
from toolkit.parity.cases import Case, plan
from toolkit.parity.golden import Recorded, Recording, from_arrays, record, to_arrays
from toolkit.parity.reference import Reference
from toolkit.signature import Signature

GOLDEN = "golden.safetensors"
"""In a bundle, beside its model."""

FORMAT = "1"


def is_golden(subject: Any) -> bool:
    return isinstance(subject, (str, Path)) and Path(subject).suffix == ".safetensors"


def write_golden(
    path: Path, reference: Reference, name: str, *, seed: int, seconds: float
) -> list[Recorded]:
    """Record the first cases of the domain: 32 and 16 MiB at most, for about so many seconds."""
    cases = plan(reference.signature, seed=seed, given=reference.given, special=False)
    recorded = record(reference, cases, seconds=seconds)
    metadata = {
        "format": FORMAT,
        "reference": name,
        "signature": str(reference.signature),
        "cases": json.dumps([str(r.case) for r in recorded]),
        "sizes": json.dumps([dict(r.case.sizes) for r in recorded]),
        "versions": json.dumps(versions.installed(), sort_keys=True),
    }
    data = save(to_arrays(recorded), metadata)
    with atomic.replacing(path) as scratch:
        scratch.write_bytes(data)
    return recorded


def read_golden(path: Path | str) -> tuple[Recording, str]:
    """The reference and its name. Raises InputError where the file is no recording."""
    path = Path(path)
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']}")
        signature = Signature.parse(metadata["signature"])
        cases = _cases(json.loads(metadata["cases"]), json.loads(metadata["sizes"]))
        recorded = from_arrays(cases, arrays, signature)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(
            f"'{path}' is no recording of a reference: {error}", "check --golden writes one"
        ) from error
    reference = Recording(signature, recorded)
    return reference, f"{metadata['reference']} as recorded in {path.name}"


def _cases(texts: Sequence[str], sizes: Sequence[dict[str, int]]) -> list[Case]:
    return [
        Case(tuple(at.items()), _fill(text), 0, origin=text)
        for text, at in zip(texts, sizes, strict=True)
    ]


def _fill(text: str) -> str:
    return next((p.removeprefix("fill=") for p in text.split(",") if p.startswith("fill=")), "")
