"""An ONNX file on disk: what it accepts, what it declares, how it came to be.

`OnnxArtifact` is immutable. Stages take one and write another; `open_artifact` reads a file that
anybody wrote, `save` writes one that carries its signature and provenance. How weights lie beside
a model is `toolkit.external`'s business; onnxruntime is not needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import atomic, external
from toolkit.domain import Choices, Interval
from toolkit.dtypes import DTYPES, from_onnx
from toolkit.errors import InputError, OnnxportError
from toolkit.outline import outline
from toolkit.proto import graphs, parse_model
from toolkit.signature import Dim, Signature, TensorSpec

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto, ValueInfoProto

SIGNATURE_KEY, PROVENANCE_KEY = "onnxport.signature", "onnxport.provenance"
SEAL_KEY = "onnxport.seal"
"""Of the file as it was written (`toolkit.sealed`): a stage that writes another leaves it out."""

EXTERNAL_ABOVE = 1_500_000_000
"""Bytes of weights above which they go to a file beside the model; protobuf ends at 2 GiB."""

BUNDLED = "model.onnx"
"""The float32 model of a bundle folder."""

_OUR_WEIGHTS = re.compile(r"[^/\\]*-[0-9a-f]{12}\.weights")

ASSUMED_SIZES = Interval(1, 8)
"""What a dynamic dimension of a file without a signature is taken to accept."""


@dataclass(frozen=True)
class Provenance:
    """How a file came to be. Holds no folder of the author's."""

    source: str = ""
    weights: str = ""
    exporter: str = ""
    opset: int = 0
    traced: dict[str, int] = field(default_factory=dict)
    """The sizes of the example that the exporter saw."""
    boundaries: dict[str, list[int]] = field(default_factory=dict)
    """Sizes on either side of where the model decides by a size: a check tries each."""
    stages: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    lossy: bool = False
    """True where values were rounded on purpose (int8, float16): judged by a budget."""

    def then(self, stage: str, *, lossy: bool = False) -> Provenance:
        return replace(self, stages=(*self.stages, stage), lossy=self.lossy or lossy)


@dataclass(frozen=True)
class Declared:
    """A graph input or output as the file declares it; None where it declares no rank or size."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class OnnxArtifact:
    """An ONNX file, its signature and its provenance."""

    path: Path
    signature: Signature
    provenance: Provenance
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    assumed: bool = False
    """True where the file carries no signature: the ranges are guesses, not promises."""

    external: tuple[str, ...] = ()
    """Files of weights beside it, by name."""

    unused: tuple[str, ...] = ()
    """Inputs that change nothing: no node reads them. They are kept, as callers pass them."""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path, *(self.path.parent / name for name in self.external))

    @property
    def size(self) -> int:
        """Bytes on disk, the external weights included."""
        return sum(p.stat().st_size for p in self.files)


def located(path: Path | str) -> Path:
    """The file itself, or the model of a bundle folder. Raises InputError for another folder."""
    path = Path(path)
    if not path.is_dir():
        return path
    if not (path / BUNDLED).is_file():
        inside = sorted(p.parent.name for p in path.glob(f"*/{BUNDLED}"))
        if inside:
            hint = "name one of them: " + ", ".join(f"{path}/{name}" for name in inside)
            raise InputError(f"bundle '{path}' has {len(inside)} graphs", hint)
        raise InputError(f"folder '{path}' is not a bundle", f"it has no {BUNDLED}")
    return path / BUNDLED


def open_artifact(
    path: Path | str,
    signature: Signature | str | None = None,
    *,
    proto: ModelProto | None = None,
) -> OnnxArtifact:
    """Read what a file says about itself, without its external weights.

    `signature` replaces the one it carries. A file without one gets the ranges of ASSUMED_SIZES.
    `proto` is the file's content where the caller has read it. Raises InputError where there is no
    such file or it is not ONNX.
    """
    path = Path(path)
    proto = proto or read_outline(path)
    metadata = {p.key: p.value for p in proto.metadata_props}
    weights = {t.name for t in proto.graph.initializer}
    inputs = tuple(_declared(v) for v in proto.graph.input if v.name not in weights)
    outputs = tuple(_declared(v) for v in proto.graph.output)
    given = Signature.parse(signature) if isinstance(signature, str) else signature
    carried = metadata.get(SIGNATURE_KEY)
    contract = given or (Signature.parse(carried) if carried else _assumed(inputs, outputs))
    return OnnxArtifact(
        path,
        contract,
        _provenance(metadata, proto),
        inputs,
        outputs,
        assumed=given is None and carried is None,
        external=tuple(name for name in external.files(proto) if name != path.name),
        unused=_unused(proto, inputs),
    )


def save(
    proto: ModelProto,
    path: Path,
    signature: Signature,
    provenance: Provenance,
    *,
    weights: Path | None = None,
) -> OnnxArtifact:
    """Write a model that carries its signature and provenance; `path` appears whole or not at all.

    Weights above EXTERNAL_ABOVE go to a file beside it, named by their content, before the model
    that points to them appears. `weights` is the folder of the files that `proto` points to, where
    it was read without them: they are moved from there, so each weight is written once.
    """
    for key, value in (
        (SIGNATURE_KEY, str(signature)),
        (PROVENANCE_KEY, json.dumps(asdict(provenance), sort_keys=True)),
    ):
        _set_metadata(proto, key, value)
    drop_metadata(proto, SEAL_KEY)
    folder = weights or path.parent
    try:
        if sum(map(external.size, external.tensors(proto))) > EXTERNAL_ABOVE:
            external.put_beside(proto, folder, path, move=weights is not None)
        else:
            external.take_in(proto, folder, move=weights is not None)
    except (OSError, ValueError) as error:
        raise InputError(f"the weights of '{path.name}' cannot be read", str(error)) from error
    with atomic.replacing(path) as scratch:
        scratch.write_bytes(proto.SerializeToString(deterministic=True))
    return open_artifact(path)


def publish(artifact: OnnxArtifact, target: Path) -> OnnxArtifact:
    """Move a finished file to its place, its external weights first, and drop those it replaces."""
    replaced = open_artifact(target).external if _is_onnx(target) else ()
    weights = [p.replace(target.parent / p.name).name for p in artifact.files[1:]]
    with atomic.replacing(target) as scratch:
        artifact.path.replace(scratch)
    for old in set(replaced) - set(weights):
        if _OUR_WEIGHTS.fullmatch(old):  # a file may name anything, also what is not its own
            (target.parent / old).unlink(missing_ok=True)
    return open_artifact(target)


def read_model(artifact: OnnxArtifact) -> ModelProto:
    """The whole model with its weights in memory."""
    proto = read_graph(artifact.path)
    try:
        external.take_in(proto, artifact.path.parent)
    except (OSError, ValueError) as error:
        raise _not_onnx(artifact.path, error) from error
    return proto


def read_weights(artifact: OnnxArtifact) -> Mapping[str, np.ndarray]:
    """The initializers of the main graph by name, each read when it is asked for."""
    try:
        return external.Weights(read_outline(artifact.path), artifact.path.parent)
    except (OSError, ValueError) as error:
        raise _not_onnx(artifact.path, error) from error


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_onnx(path: Path) -> bool:
    try:
        return bool(read_graph(path))
    except InputError:
        return False


def read_graph(path: Path) -> ModelProto:
    """The model without its external weights. Raises InputError where it is not one."""
    return _read(path, lambda: parse_model(path.read_bytes()))


def read_outline(path: Path) -> ModelProto:
    """The model without any large weights, to be looked at; those in its own file point into it.

    Raises InputError where it is not one.
    """
    return _read(path, lambda: outline(path))


def _read(path: Path, read: Callable[[], ModelProto]) -> ModelProto:
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "not there"
        raise InputError(f"'{path}' is {kind}", "name an .onnx file")
    try:
        proto = read()
    except Exception as error:
        raise _not_onnx(path, error) from error
    if not proto.graph.output or not proto.ir_version:
        raise InputError(f"'{path}' is not an ONNX model", "it has no graph")
    return proto


def _not_onnx(path: Path, error: Exception) -> OnnxportError:
    if isinstance(error, OSError):
        return InputError(f"'{path}' cannot be read: {error.strerror}", "is it yours to read?")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return InputError(
        f"'{path}' cannot be read as ONNX: {reason[:200]}",
        f"it has {os.path.getsize(path):,} bytes; is it truncated, or not an ONNX file?",
    )


def _unused(proto: ModelProto, inputs: tuple[Declared, ...]) -> tuple[str, ...]:
    nodes = (node for graph in graphs(proto.graph) for node in graph.node)
    read = {name for node in nodes for name in node.input}
    read |= {value.name for graph in graphs(proto.graph) for value in graph.output}
    return tuple(d.name for d in inputs if d.name not in read)


def _set_metadata(proto: ModelProto, key: str, value: str) -> None:
    for entry in proto.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    entry = proto.metadata_props.add()
    entry.key, entry.value = key, value


def drop_metadata(proto: ModelProto, *keys: str) -> None:
    """Leave out what the model says of itself under these keys."""
    for entry in [p for p in proto.metadata_props if p.key in keys]:
        proto.metadata_props.remove(entry)


def _provenance(metadata: dict[str, str], proto: ModelProto) -> Provenance:
    try:
        stored = json.loads(metadata[PROVENANCE_KEY])
        known = {k: v for k, v in stored.items() if k in Provenance.__dataclass_fields__}
        return Provenance(**{**known, "stages": tuple(known["stages"])})
    except (KeyError, ValueError, TypeError, AttributeError):  # none, or not written by us
        pass
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    quantized = any(n.op_type in _LOSSY_NODES for n in proto.graph.node)
    return Provenance(exporter=proto.producer_name, opset=opset, lossy=quantized)


_LOSSY_NODES = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"})


def _declared(value: ValueInfoProto) -> Declared:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise InputError(f"'{value.name}' is not a tensor", "sequences and maps are not supported")
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
            for d in tensor.shape.dim
        )
    return Declared(value.name, from_onnx(tensor.elem_type), shape)


def _assumed(inputs: tuple[Declared, ...], outputs: tuple[Declared, ...]) -> Signature:
    """The widest guess that rarely harms: small sizes, and 0 or 1 for integers (ids and masks)."""
    specs = []
    for declared in inputs:
        if declared.shape is None:
            raise InputError(
                f"input '{declared.name}' of the file has no declared rank",
                "pass its signature: --signature 'x: float32[batch, 4]; where batch = 1..64'",
            )
        shape = _named(declared, declared.shape)
        whole = DTYPES[declared.dtype].kind in "iu"
        values = Choices((0, 1)) if whole else None
        specs.append(TensorSpec(declared.name, declared.dtype, shape, values))
    used = dict.fromkeys(n for s in specs for n in s.shape if isinstance(n, str))
    known = {d.name for d in inputs}  # an input may be returned as it is
    returned = tuple(
        TensorSpec(d.name, d.dtype, _named(d, d.shape))
        for d in outputs
        if d.shape is not None and d.name not in known
    )
    return Signature(tuple(specs), tuple(Dim(n, ASSUMED_SIZES) for n in used), returned)


def _named(declared: Declared, shape: tuple[int | str | None, ...]) -> tuple[int | str, ...]:
    return tuple(f"{declared.name}_{i}" if n is None else n for i, n in enumerate(shape))
