"""The check of a bundle that writes sequences: each of its graphs, and what they write together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import sequence
from toolkit.artifact import BUNDLED, open_artifact
from toolkit.errors import InputError, ParityError
from toolkit.parity.results import ParityReport
from toolkit.pipeline.check import check
from toolkit.pipeline.generate import (
    bundle_generator,
    eager_generator,
    opened_rows,
    recorded,
    require_sequence,
)
from toolkit.pipeline.sequence import ROWS, exact_generator, random_rows
from toolkit.pipeline.ship import INT8, MANIFEST
from toolkit.pipeline.subjects import opened_source, require_drawn
from toolkit.pipeline.writing import Writing, compare_writing
from toolkit.progress import SILENT, Listener


@dataclass(frozen=True)
class SequenceReport:
    """What the check of each graph found, and of the words that they write."""

    parts: Mapping[str, ParityReport]
    writings: tuple[Writing, ...]
    problem: str = ""
    """Why what is written is not PyTorch's."""

    @property
    def holds(self) -> bool:
        return not self.problem and all(r.holds for r in self.parts.values())

    @property
    def exit_code(self) -> int:
        return 0 if self.holds else 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "parts": {name: report.to_dict() for name, report in self.parts.items()},
            "writing": [asdict(w) for w in self.writings],
            "problem": self.problem,
        }


def is_sequence_bundle(subject: Any) -> bool:
    """A folder with a graph in each of its folders, and a manifest that says how they write."""
    folder = Path(str(subject))
    try:
        return "generation" in json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return False


def check_sequence(
    bundle: Path | str,
    *,
    against: str | None = None,
    weights: Path | str | None = None,
    data: Path | str | Mapping[str, np.ndarray] | None = None,
    device: str = "cpu",
    budget: float = 30.0,
    seed: int = 0,
    limit: int = 128,
    listener: Listener = SILENT,
) -> SequenceReport:
    """Hold each graph of a bundle against its part of the original, for `budget` seconds each;
    then let all write what follows the same rows: `data`, as in `ship_sequence`, or random ones.

    The original is the source that the bundle names, or `against`. Raises InputError where `bundle`
    writes no sequences, UsageError where its weights are missing.
    """
    folder = Path(bundle)
    generation = recorded(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    if not weights and against is None:
        require_drawn(folder, manifest["source"], manifest.get("weights", ""))
    with opened_source(against or manifest["source"], weights=weights) as model:
        require_sequence(model)
        parts = sequence.parts(model)
        if missing := sorted(set(manifest["parts"]) - set(parts)):
            raise InputError(f"'{model.origin}' has no part '{missing[0]}'", "name its source")
        reports = {}
        for name, part in parts.items():
            listener.stage(name)
            artifact = open_artifact(folder / name / BUNDLED)
            options: dict[str, Any] = {"budget": budget, "seed": seed, "limit": limit}
            report = check(artifact, against=part, device=device, explain=True, **options)
            reports[name] = replace(report, candidate=f"{folder.name}/{name}")
        listener.stage("generate")
        eager = eager_generator(parts, generation, device)
        rows = random_rows(parts, generation, seed) if data is None else opened_rows(data, eager)
        subjects = {"pytorch": eager, "float32": bundle_generator(folder, generation, device)}
        if any((folder / name / INT8).exists() for name in parts):
            subjects["int8"] = bundle_generator(folder, generation, device, int8=True)
        some = {name: array[:ROWS] for name, array in rows.items()}
        try:
            exact = exact_generator(parts, generation)
            writings = compare_writing(subjects, exact, some, budget=0.0)
        except ParityError as error:
            return SequenceReport(reports, (), error.message)
    return SequenceReport(reports, writings[1:])
