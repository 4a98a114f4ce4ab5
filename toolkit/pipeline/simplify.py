"""Simplification, gated: the simpler file stays only where it behaves like its input."""

from __future__ import annotations

from pathlib import Path

from toolkit import atomic
from toolkit.artifact import OnnxArtifact, publish
from toolkit.errors import OnnxportError
from toolkit.optimize.simplify import Simplified, simplify as rewrite
from toolkit.parity.reference import Reference
from toolkit.pipeline.held import check_artifact
from toolkit.pipeline.references import reference_file
from toolkit.pipeline.subjects import open_file
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature


def simplify(
    model: Path | str | OnnxArtifact,
    out: Path | str,
    *,
    signature: Signature | str | None = None,
    budget: float = 10.0,
    seed: int = 0,
    time_limit: float = 600.0,
    memory_limit: int | None = None,
    listener: Listener = SILENT,
) -> Simplified:
    """Write `model` with fewer nodes at `out`, where onnxsim finds any and the result holds.

    Nothing is written where nothing was gained or the rewrite was undone (`kept` is False).
    Raises StageCrashed where onnxsim fails or runs out of its limits.
    """
    artifact, out = open_file(model, signature), Path(out)
    with atomic.workspace(out) as folder, reference_file(artifact) as reference:
        done = simplify_artifact(
            artifact,
            reference,
            folder / out.name,
            budget=budget,
            seed=seed,
            time_limit=time_limit,
            memory_limit=memory_limit,
            listener=listener,
        )
        return Simplified(publish(done.artifact, out), True, done.remark) if done.kept else done


def simplify_artifact(
    artifact: OnnxArtifact,
    reference: Reference,
    out: Path,
    *,
    device: str = "cpu",
    budget: float,
    seed: int = 0,
    time_limit: float = 600.0,
    memory_limit: int | None = None,
    log: Path | None = None,
    listener: Listener = SILENT,
) -> Simplified:
    """Rewrite and check against `reference`; the input itself where it fails the check."""
    done = rewrite(artifact, out, time_limit=time_limit, memory_limit=memory_limit, log=log)
    if not done.kept:
        return done
    try:
        report = check_artifact(
            done.artifact,
            reference,
            artifact.path.name,
            device=device,
            budget=budget,
            seed=seed,
            fail_fast=True,
            measured=False,
            listener=listener,
        )
        reason = "" if report.holds else report.reason
    except OnnxportError as error:  # the rewritten graph does not even load
        reason = error.message
    return Simplified(artifact, False, f"undone: {reason}") if reason else done
