"""The smallest model that still shows a difference, with its inputs and a script of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import atomic
from toolkit.artifact import OnnxArtifact, open_artifact, read_model
from toolkit.errors import InputError, OnnxportError, UsageError
from toolkit.inference.intermediates import arrays
from toolkit.optimize.cutting import cut, upstream
from toolkit.optimize.places import steps
from toolkit.parity.landmarks import Landmark
from toolkit.parity.likeness import stands_for
from toolkit.pipeline.insides import Arrays, Inside, left
from toolkit.pipeline.localize import Found
from toolkit.pipeline.subjects import matched
from toolkit.pipeline.window import window
from toolkit.report import reproduction

_WRITTEN = "onnxruntime-unoptimized"
_LIMIT = 120.0
"""Seconds for one run of a script, which imports torch."""

MODEL, INPUTS, EXPECTED = "model.onnx", "inputs.npz", "expected.npz"


@dataclass(frozen=True)
class Reproduction:
    """A folder with a model, its inputs and a script that exits 1."""

    folder: Path
    nodes: int
    of: int
    """So many nodes the whole file has."""

    def __str__(self) -> str:
        shown = f"{self.nodes} of {self.of} nodes show it"
        return f"{shown}: cd {self.folder} && python {reproduction.FILE}"


def require_replaceable(folder: Path) -> None:
    """Only a reproduction may be replaced. Raises UsageError for a folder with other files."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / reproduction.FILE).is_file():
        raise UsageError(f"'{folder}' exists and is no reproduction", "name a new folder")


def reduce(found: Found | None, folder: Path, *, seconds: float) -> Reproduction:
    """Write the least that shows what was located, else the whole file with the case.

    The script in it was run and exited 1. Raises InputError where nothing was located, or where it
    is not seen outside of the check; then nothing is written.
    """
    if found is None or found.inside is None or found.map is None:
        raise InputError("no case was located that a smaller model could show", "")
    end = time.perf_counter() + seconds
    with atomic.workspace(folder) as work:
        for kit in (_of_optimization, _of_operator, _of_file, _of_value, _whole):
            room = work / kit.__name__
            room.mkdir()
            try:
                nodes = kit(found, found.inside, room, end)
            except OnnxportError:  # what the part needs cannot be had: the next one needs less
                continue
            if nodes and _shows(room):
                with atomic.replacing(folder) as scratch:
                    room.rename(scratch)
                return Reproduction(folder, nodes, len(found.map.steps))
    raise InputError("the difference is not seen outside of the check", "rerun it with --case")


def _shows(room: Path) -> bool:
    command = [sys.executable, reproduction.FILE]
    try:
        done = subprocess.run(command, cwd=room, capture_output=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1 and b"Traceback" not in done.stderr


def _of_optimization(found: Found, inside: Inside, room: Path, end: float) -> int:
    """Optimized against itself as written, at the fewest nodes."""
    if not found.optimization:
        return 0
    nodes = window(
        inside.artifact,
        inside.fed,
        room / MODEL,
        room / INPUTS,
        runtime=found.optimization.runtime,
        tolerance=inside.tolerance,
        seconds=left(end) / 2,
    )
    body = reproduction.against_itself(found.optimization.names)
    _script(found, inside, room, found.optimization.told, body)
    return nodes


def _of_operator(found: Found, inside: Inside, room: Path, end: float) -> int:
    """The nodes from the last right values on, against the operator of PyTorch that they are."""
    landmark = _landmark(found)
    recalled = getattr(inside.reference.plain, "recalled", None)
    if found.original or landmark is None or recalled is None:
        return 0
    call = recalled(inside.feeds, (landmark.module, landmark.operator, landmark.number))
    if call is None:
        return 0
    nodes, output = _part(found, inside, room, end)
    _save(room / "arguments.npz", call.tensors)
    body = reproduction.against_operator(output, call.text, list(call.tensors), call.output)
    about = f"PyTorch computes {call.operator} in its place, in module '{landmark.module}'."
    _script(found, inside, room, about, body, torch=True)
    return nodes


def _of_file(found: Found, inside: Inside, room: Path, end: float) -> int:
    """The nodes from the last right values on, against the node of the original file."""
    landmark, original = _landmark(found), found.original
    if original is None or landmark is None:
        return 0
    nodes, output = _part(found, inside, room, end)
    graph = steps(read_model(original).graph)
    place = next(n for n, step in enumerate(graph) if step.node == landmark.operator)
    there = Inside(original, inside.reference, inside.feeds, inside.tolerance)
    made = {name for step in graph for name in step.outputs} | set(there.fed)
    stops = made & set(graph[place].inputs)
    end_of = [graph[place].outputs[landmark.number]]
    _write(original, there.fed, end_of, stops, (room / "original.onnx", room / "original.npz"), end)
    about = f"original.onnx has node '{landmark.operator}' in its place."
    _script(found, inside, room, about, reproduction.against_file(output))
    return nodes


def _of_value(found: Found, inside: Inside, room: Path, end: float) -> int:
    """The nodes from the last right values on, against the value that was expected."""
    landmark = _landmark(found)
    if found.step is None:
        return 0
    if landmark and landmark.sketch.elements.size == landmark.sketch.size:
        nodes, output = _part(found, inside, room, end)
        value = landmark.sketch.elements.reshape(landmark.sketch.shape)
        _save(room / EXPECTED, {output: value})
    elif landmark is None and found.located.blame:  # a kernel: the node against itself in float64
        nodes, output = _part(found, inside, room, end, alone=True)
        fed = dict(np.load(room / INPUTS))
        part = open_artifact(room / MODEL)
        exact = arrays(part, fed, [output], runtime="reference-float64", timeout=left(end))
        _save(room / EXPECTED, exact)
    else:
        return 0
    about = f"{EXPECTED} holds what the original computes in its place, in float64."
    _script(found, inside, room, about, reproduction.against_values())
    return nodes


def _whole(found: Found, inside: Inside, room: Path, end: float) -> int:
    """All of the file on the case, against the original's outputs."""
    outputs = [d.name for d in inside.artifact.outputs]
    names = matched([s.name for s in inside.reference.signature.outputs], inside.artifact.outputs)
    truth = {names.get(n, n): a.astype(np.float64) for n, a in inside.expected.truth.items()}
    files = (room / MODEL, room / INPUTS)
    nodes = _write(inside.artifact, inside.fed, outputs, set(inside.fed), files, end)
    _save(room / EXPECTED, truth)
    about = f"{EXPECTED} holds what the original returns, in float64."
    _script(found, inside, room, about, reproduction.against_values())
    return nodes


def _landmark(found: Found) -> Landmark | None:
    """What the departing node's value should have been, where it alone can show the difference.

    It cannot where it is a part of the operator, nor where what it reads is wrong, though a value
    of the original.
    """
    if found.map is None or found.meant is None or found.step is None:
        return None
    if found.map.values.keys() & {*found.step.outputs} <= found.map.matched.keys():
        return None
    landmark = found.map.landmarks[found.meant]
    whole = found.original or stands_for(found.step.operator, landmark.operator)
    return landmark if whole else None


def _part(
    found: Found, inside: Inside, room: Path, end: float, *, alone: bool = False
) -> tuple[int, str]:
    """Write the nodes that lead from right values to the departing one; its wrong output."""
    assert found.map is not None
    assert found.step is not None
    live = found.map.live
    stops = live if alone else live & ({*found.map.matched} | set(inside.fed))
    made = [name for name in found.step.outputs if name]
    wrong = made if alone else [n for n in made if n not in found.map.matched] or made
    files = (room / MODEL, room / INPUTS)
    return _write(inside.artifact, inside.fed, wrong[:1], stops, files, end), wrong[0]


def _write(
    artifact: OnnxArtifact,
    fed: Arrays,
    ends: Sequence[str],
    stops: set[str],
    files: tuple[Path, Path],
    end: float,
) -> int:
    """Write the part between `stops` and `ends` and the values that it is fed; its nodes."""
    model = read_model(artifact)
    nodes, names = upstream(steps(model.graph), ends, stops)
    inputs: Mapping[str, Any] = {n: fed[n] for n in names if n in fed}
    if inner := [name for name in names if name not in fed]:
        inputs = {
            **inputs,
            **arrays(artifact, fed, inner, runtime=_WRITTEN, timeout=left(end)),
        }
    files[0].write_bytes(cut(model, nodes, inputs, ends).SerializeToString())
    _save(files[1], inputs)
    return len(nodes)


def _save(path: Path, named: Arrays) -> None:
    np.savez(path, allow_pickle=False, **{name: np.asarray(a) for name, a in named.items()})


def _script(
    found: Found, inside: Inside, room: Path, about: str, body: str, *, torch: bool = False
) -> None:
    allowed = inside.tolerance
    where = str(found.located.departure or "ONNX Runtime's own rewriting of the graph")
    text = reproduction.script(
        f"{inside.artifact.path.name} differs: {where}",
        about,
        body,
        torch=torch,
        factor=allowed.factor,
        ulps=allowed.floor_ulps,
        atol=allowed.atol,
        rtol=allowed.rtol,
    )
    (room / reproduction.FILE).write_text(text)
