"""Export: every exporter in turn, until one writes a file that holds over the whole signature."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import atomic, examples, plugins, versions
from toolkit.artifact import OnnxArtifact, Provenance, publish
from toolkit.errors import (
    ExportRefused,
    InputError,
    NotApplicable,
    NotLoadable,
    OnnxportError,
    ParityError,
    StageCrashed,
)
from toolkit.model import LoadedModel
from toolkit.optimize.normalize import normalize
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.pipeline.check import check_artifact, reference_model
from toolkit.pipeline.subjects import opened_source
from toolkit.progress import SILENT, Listener
from toolkit.quiet import printing_to
from toolkit.signature import Signature

DEFAULT_OPSET = 20
DEFAULT_ORDER = ("onnxport", "dynamo", "dynamo-strict", "torchscript")


@dataclass(frozen=True)
class Attempt:
    """One exporter tried: `holds`, `refused` by itself, or `differs` from the original."""

    exporter: str
    outcome: str
    reason: str
    hint: str
    seconds: float


@dataclass(frozen=True)
class Exported:
    """The file, the check that it passed, and what was tried on the way."""

    artifact: OnnxArtifact
    report: ParityReport
    attempts: tuple[Attempt, ...]


def export(
    source: Any,
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    exporters: Sequence[str] = DEFAULT_ORDER,
    opset: int = DEFAULT_OPSET,
    budget: float = 10.0,
    seed: int = 0,
    listener: Listener = SILENT,
) -> Exported:
    """Write `source` (see `toolkit.source`) as an ONNX file that is proven to behave the same.

    `budget`: seconds for the check of each candidate. Raises ParityError where every file that
    came out differs from the original, InputError where no exporter wrote one; what the exporters
    printed is then in `out` with `.log` appended.
    """
    out = Path(out)
    with (
        opened_source(source, signature=signature, weights=weights) as model,
        atomic.workspace(out) as folder,
    ):
        log = folder / "export.log"
        try:
            exported = export_model(
                model,
                reference_model(model),
                folder / out.name,
                exporters=exporters,
                opset=opset,
                budget=budget,
                seed=seed,
                log=log,
                listener=listener,
            )
        except OnnxportError:
            if log.exists():
                log.replace(out.with_name(out.name + ".log"))
            raise
        artifact = publish(exported.artifact, out)
    return Exported(artifact, exported.report, exported.attempts)


def export_model(
    model: LoadedModel,
    reference: Reference,
    out: Path,
    *,
    exporters: Sequence[str] = DEFAULT_ORDER,
    opset: int = DEFAULT_OPSET,
    device: str = "cpu",
    budget: float = 10.0,
    seed: int = 0,
    log: Path,
    listener: Listener = SILENT,
) -> Exported:
    """The first candidate that holds, at `out`; ParityError or InputError where none does."""
    attempts: list[Attempt] = []
    for name in exporters:
        start = time.perf_counter()
        try:
            artifact = _candidate(model, name, out, opset, log)
            report = check_artifact(
                artifact,
                reference,
                model.origin,
                device=device,
                budget=budget,
                seed=seed,
                fail_fast=True,
                listener=listener,
            )
            outcome, reason, hint = ("holds" if report.holds else "differs"), report.reason, ""
        except (ExportRefused, NotLoadable, StageCrashed) as refusal:
            if isinstance(refusal, NotApplicable) and (attempts or name != exporters[-1]):
                continue
            outcome, reason, hint = "refused", refusal.message, refusal.hint
        seconds = time.perf_counter() - start
        attempts.append(Attempt(name, outcome, reason, hint, seconds))
        if outcome == "holds":
            return Exported(artifact, report, tuple(attempts))
        listener.say(f"{name} {outcome}: {reason}" + (f" ({hint})" if hint else ""))
    raise _failure(model, attempts)


def _candidate(model: LoadedModel, name: str, out: Path, opset: int, log: Path) -> OnnxArtifact:
    exporter = plugins.exporter(name)
    raw = out.with_name(f"{name}.raw.onnx")
    with printing_to(log):
        print(f"--- {name}", flush=True)
        exporter.export(model, raw, opset=opset)
    provenance = Provenance(
        source=model.origin,
        weights=model.digest,
        exporter=name,
        opset=opset,
        traced=examples.example_sizes(model.signature),
        stages=("exported",),
        versions=versions.installed(),
    )
    try:
        return normalize(raw, out, model.signature, provenance)
    finally:
        for leftover in raw.parent.glob(f"{raw.name}*"):
            leftover.unlink()


def _failure(model: LoadedModel, attempts: Sequence[Attempt]) -> OnnxportError:
    first = next((a for a in attempts if a.hint), attempts[0])
    tried = " and ".join(a.exporter for a in attempts)
    kind = ParityError if any(a.outcome == "differs" for a in attempts) else InputError
    return kind(
        f"no file that holds over the whole signature of '{model.origin}' (tried {tried})",
        f"{first.exporter} {first.outcome}: {first.reason}"
        + (f" ({first.hint})" if first.hint else ""),
    )
