"""Quantization, gated: within an accuracy budget, and measured against float32 for speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import atomic, examples
from toolkit.artifact import OnnxArtifact, publish
from toolkit.errors import InputError, OnnxportError, ParityError, UsageError
from toolkit.examples import Feeds
from toolkit.inference.data import Data, from_arrays, open_data
from toolkit.inference.isolated import IsolatedSession
from toolkit.latency import Timing, measure, overall_ratio, typical_sizes
from toolkit.parity.fidelity import Budget
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.pipeline.held import check_artifact
from toolkit.pipeline.references import reference_file
from toolkit.pipeline.rows import batches_in
from toolkit.pipeline.subjects import open_file
from toolkit.plugins import Session
from toolkit.progress import SILENT, Listener
from toolkit.quantization.int8 import SCHEMES, applicable, quantize as rewrite
from toolkit.signature import Signature

Metric = Callable[[Session], float]
"""What a caller measures a session by on data of his own; higher is better."""


@dataclass(frozen=True)
class Quantized:
    """One scheme tried: the file, how faithful it is, and its time over that of float32."""

    scheme: str
    artifact: OnnxArtifact | None
    report: ParityReport | None
    timings: tuple[Timing, ...]
    problem: str = ""
    metric: float | None = None
    """The caller's metric, where one was given."""

    @property
    def within_budget(self) -> bool:
        return self.report is not None and self.report.holds

    @property
    def ratio(self) -> float:
        """Its time over the time of float32, the geometric mean over sizes; below 1 is faster."""
        return overall_ratio(self.timings, "int8") if self.timings else float("inf")

    @property
    def remark(self) -> str:
        if self.problem or self.report is None:
            return self.problem
        if not self.within_budget:
            return self.report.reason
        found = self.report.fidelity
        said = "; ".join(map(str, found))
        if len(found) > 2:  # a KV cache has two outputs a layer
            worst = min(found, key=lambda f: f.sqnr)
            said = f"{worst}, the worst of {len(found)} outputs"
        return f"{said}, {_pace(self.ratio)}"


def _pace(ratio: float) -> str:
    if ratio <= 1:
        return f"{1 / ratio:.2f}x as fast as float32"
    return f"{ratio:.2f}x the time of float32 on this machine"


def quantize(
    model: Path | str | OnnxArtifact,
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    scheme: str = "auto",
    data: Path | str | Mapping[str, Any] | Data | None = None,
    fidelity: Budget | None = None,
    budget: float = 10.0,
    seed: int = 0,
    time_limit: float = 1800.0,
    memory_limit: int | None = None,
    listener: Listener = SILENT,
) -> tuple[Quantized, tuple[Quantized, ...]]:
    """Write `model` in int8 at `out`: the fastest scheme within the accuracy budget.

    `data` calibrates and judges it; without data, random values of the signature do. Returns the
    scheme chosen and all that were tried. Raises ParityError, and writes nothing, where none is
    within the budget. A result slower than float32 is written, and says so.
    """
    artifact, out = open_file(model, signature), Path(out)
    calibration = calibration_data(data, artifact.signature, seed)
    with atomic.workspace(out) as folder, reference_file(artifact) as reference:
        if artifact.signature.from_data:
            reference.given = tuple(batches_in(calibration))
        tried = quantize_artifact(
            artifact,
            reference,
            folder,
            calibration,
            scheme=scheme,
            fidelity=fidelity or Budget(),
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=listener,
        )
        chosen = best(tried)
        if chosen is None or chosen.artifact is None:
            raise ParityError(
                "no scheme is within the accuracy budget",
                "; ".join(f"{q.scheme}: {q.remark}" for q in tried),
            )
        published = publish(chosen.artifact, out)
    return replace(chosen, artifact=published), tried


def best(tried: Sequence[Quantized]) -> Quantized | None:
    """The fastest of those within the budget."""
    return min((q for q in tried if q.within_budget), key=lambda q: q.ratio, default=None)


def quantize_artifact(
    artifact: OnnxArtifact,
    reference: Reference,
    folder: Path,
    data: Data,
    *,
    scheme: str = "auto",
    fidelity: Budget,
    metric: Metric | None = None,
    budget: float,
    seed: int = 0,
    time_limit: float = 1800.0,
    memory_limit: int | None = None,
    log: Path | None = None,
    listener: Listener = SILENT,
) -> tuple[Quantized, ...]:
    """Try `scheme`, or all that apply, each judged on the rows that did not calibrate it."""
    if scheme not in (*SCHEMES, "auto"):
        raise UsageError(f"there is no scheme '{scheme}'", "one of auto, " + ", ".join(SCHEMES))
    schemes = applicable(artifact) if scheme == "auto" else (SCHEMES[scheme],)
    if not schemes:
        raise InputError(
            f"'{artifact.path.name}' has nothing to quantize",
            "int8 pays for convolutions, matrix products and LSTMs",
        )
    tried = []
    for one in schemes:
        listener.stage(f"quantize ({one.name})")
        try:
            out = folder / f"{one.name}.onnx"
            int8 = rewrite(
                artifact, one, data, out, time_limit=time_limit, memory_limit=memory_limit, log=log
            )
            report = check_artifact(
                int8,
                reference,
                artifact.path.name,
                data=data.after_calibration(),
                budget=budget,
                seed=seed,
                fidelity=fidelity,
                fail_fast=True,
                listener=listener,
            )
            timings: tuple[Timing, ...] = ()
            if report.holds:
                timings = _timed(artifact, int8, min(budget / 5, 2.0), reference.given)
            tried.append(Quantized(one.name, int8, report, timings, metric=_measured(metric, int8)))
        except OnnxportError as error:
            tried.append(Quantized(one.name, None, None, (), error.message))
        listener.say(f"{one.name}: {tried[-1].remark}")
    return tuple(tried)


def calibration_data(
    data: Any, signature: Signature, seed: int, given: Sequence[Feeds] = ()
) -> Data:
    """The caller's rows; without any, four typical batches of random values of the signature.

    Where values come from data only, the given examples that are shaped like the first.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, Mapping):
        return from_arrays(data, signature)
    if data is not None:
        return open_data(data, signature)
    feeds = _given_alike(signature, given) or _drawn(signature, seed)
    batched = Data(signature, feeds[0]).batched
    arrays = {
        name: np.concatenate([f[name] for f in feeds]) if name in batched else feeds[0][name]
        for name in feeds[0]
    }
    return Data(signature, arrays)


def _drawn(signature: Signature, seed: int) -> list[Feeds]:
    sizes = typical_sizes(signature)[-1]
    rng = np.random.default_rng(seed)
    return [examples.feeds(signature, sizes, "uniform", rng) for _ in range(4)]


def _given_alike(signature: Signature, given: Sequence[Feeds]) -> list[Feeds]:
    """The examples that the first one can be stacked with, where none can be drawn."""
    if not signature.from_data:
        return []
    examples.require_given(signature, given)
    return [
        feed for feed in given if all(feed[n].shape[1:] == a.shape[1:] for n, a in given[0].items())
    ]


def _measured(metric: Metric | None, artifact: OnnxArtifact) -> float | None:
    if metric is None:
        return None
    with IsolatedSession(artifact) as session:
        return float(metric(session))


def _timed(
    float32: OnnxArtifact, int8: OnnxArtifact, budget: float, given: Sequence[Feeds]
) -> tuple[Timing, ...]:
    with IsolatedSession(float32) as one, IsolatedSession(int8) as other:
        signature = float32.signature
        subjects = {"float32": one, "int8": other}
        sizes = typical_sizes(signature)
        return tuple(measure(subjects, signature, sizes, budget=budget, given=given))
