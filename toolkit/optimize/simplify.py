"""Simplification by onnxsim, in a child process with limits on time and memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import external
from toolkit.artifact import OnnxArtifact, read_graph, save
from toolkit.isolation import Worker
from toolkit.optimize.sharing import tie
from toolkit.proto import graphs

if TYPE_CHECKING:
    from onnx import ModelProto

_GROWTH, _SPARE = 1.01, 4096
"""The constants of a simplified graph may have this many times the bytes of those of its input,
and so many more: folded shapes are small."""

_WORTH = 0.98
"""Without fewer nodes, they must be at most this many times as large to be worth another file."""


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

    Constants are folded; where that makes them larger than those of the input, it is done again
    without folding large tensors, and given up where even that grows. Raises StageCrashed where
    onnxsim fails, crashes, or runs out of time or memory.
    """
    original = read_graph(artifact.path)
    for threshold in ("1.5GB", "1KB"):
        with Worker("the simplifier", memory=memory_limit, log=log) as worker:
            worker.call(
                f"{__name__}:_simplify",
                timeout=time_limit,
                model=str(artifact.path),
                out=str(out),
                threshold=threshold,
            )
        simpler = read_graph(out)
        tie(simpler, out.parent)
        old, new = _constants(original), _constants(simpler)
        if new <= old * _GROWTH + _SPARE:
            break
        _discard(simpler, artifact, out.parent)
    else:
        remark = f"undone: folding made the constants grow from {old:,} to {new:,} bytes"
        return Simplified(artifact, False, remark)
    _restore_metadata(original, simpler)
    provenance = artifact.provenance.then("simplified")
    shared = {*external.files(simpler)} & {*artifact.external}  # to copy, not to move
    weights = None if shared else out.parent
    saved = save(simpler, out, artifact.signature, provenance, weights=weights)
    return _judged(artifact, saved, new / old if old else 1.0)


def _discard(simpler: ModelProto, artifact: OnnxArtifact, folder: Path) -> None:
    """Remove the files of weights that onnxsim wrote above 2 GB; it gives each a new name."""
    for name in {*external.files(simpler)} - {*artifact.external}:
        (folder / name).unlink()


def _judged(before: OnnxArtifact, after: OnnxArtifact, constants: float) -> Simplified:
    old, new = operators(before), operators(after)
    if new.total() > old.total():
        return Simplified(before, False, f"undone: {old.total()} -> {new.total()} nodes")
    if new.total() == old.total() and constants > _WORTH:
        return Simplified(before, False, f"nothing to simplify ({old.total()} nodes)")
    gone = ", ".join(f"{n} {op}" for op, n in (old - new).most_common(3))
    remark = f"{old.total()} -> {new.total()} nodes" + (f" (without {gone})" if gone else "")
    if constants <= _WORTH:
        remark += f", constants {constants:.2f}x the size"
    return Simplified(after, True, remark)


def _constants(model: ModelProto) -> int:
    """Bytes of all initializers and constants, subgraphs included, wherever they are stored."""
    return sum(map(external.size, external.tensors(model)))


def _restore_metadata(before: ModelProto, after: ModelProto) -> None:
    """Give nodes that are still there their module paths back, which onnxsim drops."""
    known = {node.output[0]: node for node in before.graph.node if node.output}
    for node in after.graph.node:
        if node.output and not node.metadata_props and node.output[0] in known:
            node.metadata_props.extend(known[node.output[0]].metadata_props)


def operators(artifact: OnnxArtifact) -> Counter[str]:
    """How often each operator occurs, subgraphs included."""
    proto = read_graph(artifact.path)
    return Counter(node.op_type for graph in graphs(proto.graph) for node in graph.node)


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
