"""Export: an ONNX file of a PyTorch model that is proven to behave the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit import atomic
from toolkit.artifact import OnnxArtifact, open_artifact, publish
from toolkit.errors import InputError
from toolkit.fingerprint import fingerprint
from toolkit.model import LoadedModel, held_to
from toolkit.parity.reference import Reference
from toolkit.pipeline import infer
from toolkit.pipeline.held import check_artifact
from toolkit.pipeline.portfolio import Exported, Plan, default_order, export_model
from toolkit.pipeline.references import reference_model
from toolkit.pipeline.subjects import opened_source
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature

_AGAIN = 2
"""Cases on which a file that need not be made again is seen to be still what it was."""


def export(
    source: Any,
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    examples: Any = None,
    exporters: Sequence[str] = (),
    opset: int | None = None,
    target: str = "",
    every: bool = False,
    keep_trace: bool = False,
    budget: float | None = None,
    seed: int = 0,
    time_limit: float = 1800.0,
    memory_limit: int | None = None,
    listener: Listener = SILENT,
) -> Exported:
    """Write `source` (see `toolkit.source`) as an ONNX file that is proven to behave the same.

    `examples`: inputs that are cases too (see `toolkit.given`). Without a signature the widest is
    proposed that the module accepts around them, made narrower where no exporter can write it;
    `listener` hears which, and the file carries it like any other. `exporters`: only these, in this
    order. `opset`: of the file (default 20, or the newest that the target loads). `target`: a
    runtime that must load it, `onnxruntime==1.20`. `every`: try all exporters and take the fastest
    file that holds. `keep_trace`: keep the author's lines (without folders) in the file. `budget`:
    seconds for the cases of each candidate's check; by default a quarter of what the export took.
    Its report is the verdict, without measures. `time_limit`, `memory_limit`: seconds, bytes for
    each exporter, which runs in a process of its own.

    Where `out` was exported from the same model, code and versions with the same options, and
    still holds on two cases, it is left as it is (`unchanged`). Raises ParityError where every file
    that came out differs from the original, InputError where no exporter wrote one; what the
    exporters printed is then in `out` with `.log` appended.
    """
    out = Path(out)
    plan = Plan(
        tuple(exporters) or default_order(),
        opset,
        target,
        every,
        keep_trace,
        time_limit,
        memory_limit,
    )
    with opened_source(source, signature=signature, weights=weights, examples=examples) as model:
        known = fingerprint(model, plan=asdict(plan), budget=budget, seed=seed)
        if known and (before := _made_before(out, known)):
            made = held_to(model, before.signature) if model.proposed else model
            reference = reference_model(made)
            report = check_artifact(
                before, reference, model.origin, budget=1.0, limit=_AGAIN, measured=False
            )
            if report.holds:
                return Exported(before, report, unchanged=True)
        with atomic.workspace(out) as folder:
            log = folder / "export.log"

            def attempt(model: LoadedModel, reference: Reference, room: Path) -> Exported:
                return export_model(
                    model,
                    reference,
                    room / out.name,
                    plan,
                    budget=budget,
                    seed=seed,
                    log=log,
                    fingerprint=known,
                    measured=False,
                    listener=listener,
                )

            infer.announce(model, listener)
            _, _, exported = infer.settle(
                model, folder, attempt, log=log, out=out, listener=listener
            )
            artifact = publish(exported.artifact, out)
    return Exported(artifact, exported.report, exported.attempts)


def _made_before(out: Path, known: str) -> OnnxArtifact | None:
    try:
        before = open_artifact(out)
    except InputError:
        return None
    whole = all(file.is_file() for file in before.files)
    return before if whole and before.provenance.fingerprint == known else None
