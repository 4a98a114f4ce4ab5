"""A bundle as a project of one model, so that every report can be made of it."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit import versions
from toolkit.artifact import OnnxArtifact
from toolkit.latency import Timing, overall_ratio
from toolkit.model import LoadedModel
from toolkit.optimize.simplify import Simplified
from toolkit.pipeline.portfolio import Attempt, Exported
from toolkit.pipeline.quantize import Quantized
from toolkit.project.results import HOLDS, LEFT_OUT, ModelResult, ProjectReport, StageResult, Tried
from toolkit.quantization.cpu import describe


def as_project(
    name: str,
    model: LoadedModel,
    float32: OnnxArtifact,
    exported: Exported,
    simplified: Simplified,
    quantized: Sequence[Quantized],
    chosen: Quantized | None,
    verdict: str,
    timings: Sequence[Timing],
) -> ProjectReport:
    """A stage for each precision.

    `chosen`: the scheme whose file is in the bundle; `verdict`: why, or why there is none.
    float32 is the exported file, simplified where that held as well.
    """
    report = exported.report
    simpler = Tried("onnxsim", HOLDS if simplified.kept else LEFT_OUT, simplified.remark)
    whole = StageResult(
        "float32",
        report.device,
        report,
        size=float32.size,
        latency=overall_ratio(timings, "float32"),
        tried=(*exporters(exported.attempts), simpler),
    )
    rounded = StageResult("int8", "cpu", remark=verdict, tried=tuple(map(scheme, quantized)))
    if chosen is not None and chosen.artifact is not None:
        rounded = StageResult(
            "int8",
            "cpu",
            chosen.report,
            size=chosen.artifact.size,
            scheme=chosen.scheme,
            latency=overall_ratio(timings, "int8"),
            tried=rounded.tried,
            notes=(verdict,),
        )
    result = ModelResult(
        name,
        model.origin,
        str(model.signature),
        (whole, rounded),
        weights_size=model.size,
        notes=model.notes,
    )
    return ProjectReport((result,), versions.installed(), describe())


def exporters(attempts: Sequence[Attempt]) -> tuple[Tried, ...]:
    """Those that were tried, the one whose file it is last."""
    return tuple(Tried(a.exporter, a.outcome, a.reason, a.seconds + a.checked) for a in attempts)


def scheme(tried: Quantized) -> Tried:
    """A scheme of int8 and what became of it."""
    if tried.problem or tried.report is None:
        return Tried(tried.scheme, "refused", tried.problem)
    said = tried.report.reason or "; ".join(map(str, tried.report.fidelity))
    return Tried(tried.scheme, "holds" if tried.within_budget else "differs", said)
