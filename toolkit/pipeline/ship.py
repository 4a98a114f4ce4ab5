"""All of it: load, export, simplify, quantize, measure, bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolkit import atomic, plugins, versions
from toolkit.artifact import BUNDLED, OnnxArtifact, open_artifact, publish, sha256
from toolkit.errors import InputError, StageCrashed
from toolkit.inference.isolated import IsolatedSession
from toolkit.latency import InProcess, Timed, Timing, measure, typical_sizes
from toolkit.model import LoadedModel
from toolkit.optimize.simplify import Simplified
from toolkit.parity.fidelity import Budget
from toolkit.parity.reference import Reference
from toolkit.pipeline import infer
from toolkit.pipeline.golden import GOLDEN, write_golden
from toolkit.pipeline.portfolio import Exported, Plan, default_order, export_model
from toolkit.pipeline.quantize import Metric, Quantized, best, calibration_data, quantize_artifact
from toolkit.pipeline.shipped import as_project
from toolkit.pipeline.simplify import simplify_artifact
from toolkit.pipeline.subjects import opened_source
from toolkit.progress import SILENT, Listener
from toolkit.quantization import cpu
from toolkit.quantization.int8 import applicable
from toolkit.report.html.page import page
from toolkit.signature import Signature

INT8, MANIFEST, LOG, REPORT = "model.int8.onnx", "manifest.json", "export.log", "report.html"
MANIFEST_FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """A finished folder and what was found out on the way to it."""

    path: Path
    model: OnnxArtifact
    int8: OnnxArtifact | None
    """None where no scheme is within the budget and faster than float32 on this machine."""
    exported: Exported
    simplified: Simplified
    quantized: tuple[Quantized, ...]
    """Every scheme that was tried; their files are gone but for the one in the bundle."""
    verdict: str
    """Why the int8 file is in the bundle, or why it is not."""
    timings: tuple[Timing, ...]
    metrics: Mapping[str, float]
    """The caller's metric for `pytorch`, `float32` and the best int8 scheme."""


def ship(
    source: Any,
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    data: Path | str | Mapping[str, Any] | None = None,
    examples: Any = None,
    metric: Metric | None = None,
    exporters: Sequence[str] = (),
    opset: int | None = None,
    target: str = "",
    keep_trace: bool = False,
    device: str = "cpu",
    fidelity: Budget | None = None,
    budget: float = 10.0,
    seed: int = 0,
    time_limit: float = 1800.0,
    memory_limit: int | None = None,
    listener: Listener = SILENT,
) -> Bundle:
    """Make a bundle folder: the verified float32 model, the int8 one where it pays, a manifest,
    and outputs of the original by which it can be checked elsewhere.

    `data`: rows that calibrate int8 and judge it. `examples`: see `toolkit.given`. `metric`: a
    function of a session, higher is better, evaluated for PyTorch, float32 and int8. `device`:
    where ONNX Runtime runs while the files are checked and timed; int8 is for CPUs and not tried
    elsewhere. `exporters`, `opset`, `target`, `keep_trace`: see `toolkit.export`. `budget`: seconds
    for each check. `out` is a new folder or an older bundle, replaced in one step at the end; in it
    is a page, report.html, that shows what was found out on the way. Raises ParityError or
    InputError where no exporter gives a file that holds, MissingError where the device does not
    work here; then `out` is as it was.
    """
    out = Path(out)
    require_replaceable(out)
    device = plugins.runtime("onnxruntime").availability().require(device)
    listener.stage("load")
    with (
        opened_source(source, signature=signature, weights=weights, examples=examples) as loaded,
        atomic.workspace(out) as work,
        atomic.replacing(out) as folder,
    ):
        folder.mkdir()
        log = folder / LOG
        rows = calibration_data(data, loaded.signature, seed, loaded.examples)
        infer.announce(loaded, listener)
        for note in () if loaded.proposed else loaded.notes:
            listener.say(f"note: {note}")
        listener.say(f"{loaded.origin}, {loaded.parameters:,} parameters")
        checks: dict[str, Any] = {"budget": budget, "seed": seed, "log": log, "listener": listener}

        listener.stage("export")
        plan = Plan(
            tuple(exporters) or default_order(),
            opset,
            target,
            keep_trace=keep_trace,
            time_limit=time_limit,
            memory_limit=memory_limit,
        )

        def attempt(model: LoadedModel, reference: Reference, room: Path) -> Exported:
            return export_model(model, reference, room / BUNDLED, plan, device=device, **checks)

        model, reference, exported = infer.settle(
            loaded, work, attempt, log=log, out=out, listener=listener
        )
        if model is not loaded:
            rows = calibration_data(data, model.signature, seed, model.examples)
        listener.say(exported.summary)

        listener.stage("simplify")
        checks |= {"time_limit": time_limit, "memory_limit": memory_limit}
        simplified = _simplified(exported.artifact, reference, work, checks | {"device": device})
        listener.say(simplified.remark)
        float32 = publish(simplified.artifact, folder / BUNDLED)

        tried: tuple[Quantized, ...] = ()
        if device == "cpu" and applicable(float32):
            tried = quantize_artifact(
                float32,
                reference,
                work,
                rows,
                fidelity=fidelity or Budget(),
                metric=metric,
                **checks,
            )
        chosen = best(tried)
        verdict = _verdict(tried, chosen, device)
        listener.stage("bundle")
        listener.say(verdict)
        timings = _timings(model, reference, float32, chosen, device, min(budget / 4, 3.0))
        metrics = _metrics(metric, reference, float32, chosen)
        kept = None
        if chosen and chosen.artifact and chosen.ratio <= 1:
            kept = replace(chosen, artifact=publish(chosen.artifact, folder / INT8))
        write_golden(folder / GOLDEN, reference, model.origin, seed=seed, seconds=budget / 4)
        found = (exported, simplified, tried, verdict, timings, metrics)
        shipped = as_project(out.resolve().name, model, float32, *found[:3], kept, *found[3:5])
        (folder / REPORT).write_text(page(shipped), encoding="utf-8")
        manifest = json.dumps(_manifest(model, folder, *found), indent=2) + "\n"
        (folder / MANIFEST).write_text(manifest)
    int8 = open_artifact(out / INT8) if (out / INT8).exists() else None
    return Bundle(out, open_artifact(out / BUNDLED), int8, *found)


def require_replaceable(out: Path) -> None:
    """Only a bundle may be replaced: nobody's other files are to vanish."""
    if (
        out.exists()
        and not (out / MANIFEST).is_file()
        and not (out.is_dir() and not any(out.iterdir()))
    ):
        raise InputError(f"'{out}' exists and is not a bundle", "name another folder, or remove it")


def _simplified(
    artifact: OnnxArtifact, reference: Reference, work: Path, checks: Mapping[str, Any]
) -> Simplified:
    folder = work / "simplified"
    folder.mkdir()
    try:
        return simplify_artifact(artifact, reference, folder / BUNDLED, **checks)
    except StageCrashed as error:  # the exported file is good without it
        return Simplified(artifact, False, error.message)


def _verdict(tried: Sequence[Quantized], chosen: Quantized | None, device: str) -> str:
    if device != "cpu":
        return f"no int8 file: it is for CPUs, and this bundle was made on {device}"
    if not tried:
        return "no int8 file: the graph has no convolution, matrix product or LSTM"
    if chosen is None:
        return f"no int8 file: {tried[0].scheme}: {tried[0].remark}"
    if chosen.ratio > 1:
        return (
            f"no int8 file: the fastest scheme ({chosen.scheme}) takes {chosen.ratio:.2f}x the time"
            " of float32 on this machine"
        )
    return f"{INT8}: {chosen.scheme}, {chosen.remark}"


def _timings(
    model: LoadedModel,
    reference: Reference,
    float32: OnnxArtifact,
    chosen: Quantized | None,
    device: str,
    budget: float,
) -> tuple[Timing, ...]:
    with ExitStack() as stack:
        subjects: dict[str, Timed] = {
            "pytorch": InProcess(plugins.runtime("pytorch").load(model, device)),
            "float32": stack.enter_context(IsolatedSession(float32, device=device)),
        }
        if chosen and chosen.artifact:
            subjects["int8"] = stack.enter_context(IsolatedSession(chosen.artifact))
        sizes = typical_sizes(reference.signature)
        return tuple(
            measure(subjects, reference.signature, sizes, budget=budget, given=reference.given)
        )


def _metrics(
    metric: Metric | None, reference: Reference, float32: OnnxArtifact, chosen: Quantized | None
) -> dict[str, float]:
    if metric is None:
        return {}
    with IsolatedSession(float32) as session:
        found = {"pytorch": metric(reference.plain), "float32": metric(session)}
    if chosen and chosen.metric is not None:
        found["int8"] = chosen.metric
    return found


def _manifest(
    model: LoadedModel,
    folder: Path,
    exported: Exported,
    simplified: Simplified,
    tried: Sequence[Quantized],
    verdict: str,
    timings: Sequence[Timing],
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    files = sorted(p for p in folder.iterdir())
    return {
        "format": MANIFEST_FORMAT,
        "source": model.origin,
        "weights": model.digest,
        "parameters": model.parameters,
        "signature": str(model.signature).splitlines(),
        "notes": list(model.notes),
        "files": {p.name: {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files},
        "export": [asdict(a) for a in exported.attempts],
        "parity": exported.report.to_dict(),
        "simplify": simplified.remark,
        "int8": {
            "verdict": verdict,
            "tried": {q.scheme: q.remark for q in tried},
        },
        "latency": [asdict(t) for t in timings],
        "metrics": dict(metrics),
        "processor": cpu.describe(),
        "versions": versions.installed(),
    }
