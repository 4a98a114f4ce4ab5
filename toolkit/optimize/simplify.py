"""Simplification by onnxsim, in a child process with limits on time and memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifact import OnnxArtifact, save
from toolkit.isolation import Worker

_GROWTH = 1.01
"""A simplified file may be this many times the size of its input (metadata may move)."""

_WORTH = 0.98
"""Without fewer nodes, it must be at most this many times the size to be worth another file."""


@dataclass(frozen=True)
class Simplified:
    """The file that goes on (the input itself where nothing was gained), and what happened."""

    artifact: OnnxArtifact
    kept: bool
    remark: str


def simplify(
    artifact: OnnxArtifact,
    out: Path,
    *,
    time_limit: float = 600.0,
    memory_limit: int | None = None,
    log: Path | None = None,
) -> Simplified:
    """Write a simpler graph at `out`. Whether it behaves the same is the caller's to check.

    Constants are folded; where that makes the file larger than its input, it is done again
    without folding large tensors, and given up where even that grows. Raises StageCrashed where
    onnxsim fails, crashes, or runs out of time or memory.
    """
    import onnx

    for threshold in ("1.5GB", "1KB"):
        with Worker("the simplifier", memory=memory_limit, log=log) as worker:
            worker.call(
                f"{__name__}:_simplify",
                timeout=time_limit,
                model=str(artifact.path),
                out=str(out),
                threshold=threshold,
            )
        model = onnx.load(str(out))
        saved = save(model, out, artifact.signature, artifact.provenance.then("simplified"))
        if saved.size <= artifact.size * _GROWTH:
            return _judged(artifact, saved)
    grown = f"{saved.size / artifact.size:.1f}x the size"
    return Simplified(artifact, False, f"undone: folding constants made the file {grown}")


def _judged(before: OnnxArtifact, after: OnnxArtifact) -> Simplified:
    old, new = operators(before), operators(after)
    if new.total() > old.total():
        return Simplified(before, False, f"undone: {old.total()} -> {new.total()} nodes")
    if new.total() == old.total() and after.size > before.size * _WORTH:
        return Simplified(before, False, f"nothing to simplify ({old.total()} nodes)")
    gone = ", ".join(f"{n} {op}" for op, n in (old - new).most_common(3))
    remark = f"{old.total()} -> {new.total()} nodes" + (f" (without {gone})" if gone else "")
    if after.size < before.size * _WORTH:
        remark += f", {after.size / before.size:.2f}x the size"
    return Simplified(after, True, remark)


def operators(artifact: OnnxArtifact) -> Counter[str]:
    """How often each operator occurs, subgraphs included."""
    import onnx

    from toolkit.optimize.normalize import graphs

    model = onnx.load(str(artifact.path), load_external_data=False)
    return Counter(node.op_type for graph in graphs(model.graph) for node in graph.node)


def _simplify(_: object, model: str, out: str, threshold: str) -> tuple[None, dict[str, Any]]:
    """Runs in the child."""
    import onnxsim

    onnxsim.simplify(
        model,
        output_path=out,
        certify=False,
        tensor_size_threshold=threshold,
        external_data_threshold="1.5GB",
    )
    return None, {}
