"""Export: an ONNX file of a PyTorch model that is proven to behave the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from toolkit import atomic, sealed
from toolkit.artifact import OnnxArtifact, open_artifact, publish
from toolkit.errors import InputError
from toolkit.fingerprint import fingerprint
from toolkit.model import LoadedModel
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.pipeline import infer
from toolkit.pipeline.portfolio import Attempt, Exported, Plan, default_order, export_model
from toolkit.pipeline.subjects import opened_source
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature


@dataclass(frozen=True)
class Unchanged:
    """The file that was there: of the same model, code, versions and options, and untouched."""

    artifact: OnnxArtifact
    verdict: str
    """What its check found when it was made."""
    again: Callable[[], ParityReport]
    attempts: ClassVar[tuple[Attempt, ...]] = ()
    unchanged: ClassVar[bool] = True

    @property
    def report(self) -> ParityReport:
        """A check of it, made when it is asked for."""
        return self.again()

    @property
    def summary(self) -> str:
        """`onnxport: unchanged, as are the model, code and versions; it holds on 128 cases ...`"""
        name = self.artifact.provenance.exporter
        return f"{name}: unchanged, as are the model, code and versions; it {self.verdict}"


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
) -> Exported | Unchanged:
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

    Where `out` was exported from the same model, code and versions with the same options, and is
    byte for byte what was checked then, it is left as it is (`unchanged`). Raises ParityError where
    every file that came out differs from the original, InputError where no exporter wrote one; what
    the exporters printed is then in `out` with `.log` appended.
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
            artifact, verdict = before
            asked = {"signature": signature, "weights": weights, "examples": examples, "seed": seed}
            asked |= {} if budget is None else {"budget": budget}
            return Unchanged(artifact, verdict, partial(_checked, out, against=source, **asked))
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
                    measured=False,
                    listener=listener,
                )

            infer.announce(model, listener)
            _, _, exported = infer.settle(
                model, folder, attempt, log=log, out=out, listener=listener
            )
            if known:
                sealed.seal(exported.artifact, known, exported.report.summary)
            artifact = publish(exported.artifact, out)
    return Exported(artifact, exported.report, exported.attempts)


def _checked(out: Path, **asked: Any) -> ParityReport:
    from toolkit.pipeline.check import check  # most exports never ask, and it imports much

    return check(out, **asked)


def _made_before(out: Path, known: str) -> tuple[OnnxArtifact, str] | None:
    """The file and what was found of it."""
    try:
        before = open_artifact(out)
    except InputError:
        return None
    verdict = sealed.verdict(before, known)
    return (before, verdict) if verdict else None
