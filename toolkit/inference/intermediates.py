"""Every value that a graph computes on one feed, from a few sessions in a child process.

Values are made outputs of the graph, as many at once as fit CHUNK. Outputs keep a runtime from
fusing what makes them: what a fusion does to the result is not seen this way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, open_artifact, read_outline
from toolkit.errors import InputError
from toolkit.inference.isolated import call_alone
from toolkit.parity.sketch import Sketch

if TYPE_CHECKING:
    from onnx import ModelProto

CHUNK = 256 << 20
"""Bytes of values that one session gives out; a runtime cannot free them before the end."""

_NO_TENSORS = ("Sequence", "SplitToSequence", "Optional", "ZipMap", "StringSplit")
"""Operators (by how they begin) whose values are no arrays of numbers."""


def values(
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    *,
    runtime: str,
    device: str = "cpu",
    timeout: float,
    partial: bool = False,
) -> dict[str, Sketch]:
    """A sketch of every value of the main graph, by name; `feeds` are named as the file does.

    `partial`: those before the node that the runtime refuses, where it does. Else raises InputError
    where the runtime refuses the graph or the feed, StageCrashed where it dies or takes longer than
    `timeout` seconds.
    """
    target = f"{__name__}:_values"
    reply = call_alone(
        target, artifact, feeds, runtime=runtime, timeout=timeout, device=device, partial=partial
    )
    return {name: Sketch(tuple(shape), reply.arrays[name]) for name, shape in reply.value.items()}


def arrays(
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    runtime: str,
    timeout: float,
) -> dict[str, np.ndarray]:
    """The values of these names, whole. Raises as `values` does."""
    target = f"{__name__}:_arrays"
    reply = call_alone(target, artifact, feeds, runtime=runtime, timeout=timeout, names=list(names))
    found = reply.arrays
    return {name: found[name] for name in names if name in found}


# What follows runs in the child.


def _arrays(
    feeds: Mapping[str, np.ndarray], path: str, signature: str, runtime: str, names: list[str]
) -> tuple[None, dict[str, np.ndarray]]:
    artifact = open_artifact(path, signature)
    model = read_outline(artifact.path)
    own = {value.name for value in (*model.graph.output, *model.graph.input)}
    with tempfile.TemporaryDirectory() as folder:
        put_beside(artifact, Path(folder))
        tapped = replace(artifact, path=_tapped_path(artifact, Path(folder)))
        inner = [name for name in names if name not in own]
        tapped.path.write_bytes(_tapped(model, inner).SerializeToString())
        found = plugins.runtime(runtime).load(tapped, "cpu").run(feeds)
    return None, {**feeds, **found}


def _values(
    feeds: Mapping[str, np.ndarray],
    path: str,
    signature: str,
    runtime: str,
    device: str,
    partial: bool,
) -> tuple[dict[str, list[int]], dict[str, np.ndarray]]:
    artifact = open_artifact(path, signature)
    shapes: dict[str, list[int]] = {}
    elements: dict[str, np.ndarray] = {}
    with suppress(InputError) if partial else nullcontext():
        for name, array in _each(artifact, feeds, runtime, device):
            if array.dtype.kind in "fiub":
                sketch = Sketch.of(array)
                shapes[name], elements[name] = list(sketch.shape), sketch.elements
    return shapes, elements


def _each(
    artifact: OnnxArtifact, feeds: Mapping[str, np.ndarray], runtime: str, device: str
) -> Iterator[tuple[str, np.ndarray]]:
    found = plugins.runtime(runtime)
    walked = found.walk(artifact, feeds) if isinstance(found, plugins.Walking) else None
    if walked is not None:
        yield from walked
        return
    model = read_outline(artifact.path)
    own = [value.name for value in model.graph.output]
    with tempfile.TemporaryDirectory() as folder:
        put_beside(artifact, Path(folder))
        for names in _chunks(model, feeds):
            tapped = replace(artifact, path=_tapped_path(artifact, Path(folder)))
            tapped.path.write_bytes(_tapped(model, names).SerializeToString())
            arrays = found.load(tapped, device).run(feeds)
            yield from ((n, arrays[n]) for n in (*names, *own) if _is_array(arrays.get(n)))


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def put_beside(artifact: OnnxArtifact, folder: Path) -> None:
    """Make a file's weights available in another folder, its own among them, without a copy."""
    for source in artifact.files:
        target = folder / source.relative_to(artifact.path.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)


def _tapped_path(artifact: OnnxArtifact, folder: Path) -> Path:
    return folder / f"tapped-{artifact.path.name}"


def _tapped(model: ModelProto, names: list[str]) -> ModelProto:
    tapped = type(model)()
    tapped.CopyFrom(model)
    for name in names:
        tapped.graph.output.add().name = name
    return tapped


def _chunks(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> Iterator[list[str]]:
    """Names of values in graph order, together at most CHUNK bytes by their inferred shapes."""
    public = {value.name for value in (*model.graph.output, *model.graph.input)}
    names = [
        name
        for node in model.graph.node
        if not node.op_type.startswith(_NO_TENSORS)
        for name in node.output
        if name and name not in public
    ]
    sizes = _sizes(model, feeds)
    chunk: list[str] = []
    total = 0
    for name in names:
        size = sizes.get(name, max(sizes.values(), default=0))  # unknown: as large as any
        if chunk and total + size > CHUNK:
            yield chunk
            chunk, total = [], 0
        chunk.append(name)
        total += size
    yield chunk


def _sizes(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Bytes of each value whose shape follows from those of the feed, taken as float64."""
    from onnx import shape_inference

    fixed = type(model)()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        if value.name in feeds:
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for size in feeds[value.name].shape:
                shape.dim.add().dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = shape_inference.infer_shapes(fixed, data_prop=True)
    except Exception:  # a graph beyond 2 GiB, or one that it does not understand
        return {}
    found = {}
    for value in inferred.graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            found[value.name] = 8 * prod(d.dim_value for d in dims)
    return found
