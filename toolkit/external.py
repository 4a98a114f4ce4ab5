"""Weights in files beside the model: found, read one at a time, moved and written.

A model that was read without them (`artifact.read_graph`) points to its weights by file, offset
and length; nothing here holds more than one tensor in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from toolkit import atomic
from toolkit.proto import graphs

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto, TensorProto

SMALL = 1024
"""Bytes up to which a tensor stays in the model's own file: shape inference reads axes and shapes,
and a page of the file beside it would cost more."""

ALIGNMENT = 4096
"""Where a tensor may begin in the file: at a page, so that it can be mapped into memory."""

_FULL = 0.99
"""The share of a file that must be weights for the file to be taken over as it is."""


class Stored(NamedTuple):
    """Where the bytes of a tensor are, by the words of the model."""

    location: str
    offset: int
    length: int


def tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Every tensor of the graph and its subgraphs: initializers and attributes."""
    for graph in graphs(proto.graph):
        yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def stored(tensor: TensorProto) -> Stored | None:
    """None where the tensor's bytes are in the model itself."""
    if not tensor.external_data:
        return None
    said = {entry.key: entry.value for entry in tensor.external_data}
    length = int(said.get("length") or 0) or _bytes(tensor)
    return Stored(said.get("location", ""), int(said.get("offset") or 0), length)


def size(tensor: TensorProto) -> int:
    """Bytes of the content, wherever it is."""
    place = stored(tensor)
    return place.length if place else tensor.ByteSize()


def files(proto: ModelProto) -> tuple[str, ...]:
    """The files that the model points to, relative to its own folder."""
    places = (stored(tensor) for tensor in tensors(proto))
    return tuple(sorted({place.location for place in places if place}))


def read(tensor: TensorProto, folder: Path) -> np.ndarray:
    """The tensor's values; those of a file are mapped and not loaded.

    Raises ValueError where the file is not in `folder` or too short, OSError where it is gone.
    """
    import numpy as np
    import onnx
    from onnx import external_data_helper, numpy_helper

    place = stored(tensor)
    if place is None:
        return numpy_helper.to_array(tensor)
    path = _checked(place, folder)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    count = prod(tensor.dims)
    if count and count * dtype.itemsize == place.length and dtype.newbyteorder("<") == dtype:
        flat = np.memmap(path, dtype, "r", place.offset, (count,))
        return np.asarray(flat).reshape(tuple(tensor.dims))
    whole = onnx.TensorProto()  # four bits each, none at all, or a machine of the other endianness
    whole.CopyFrom(tensor)
    external_data_helper.load_external_data_for_tensor(whole, str(folder))
    return numpy_helper.to_array(whole)


class Weights(Mapping[str, "np.ndarray"]):
    """The initializers of the main graph by name, each read when it is asked for.

    Raises OSError or ValueError at once where a file of them is gone or too short.
    """

    def __init__(self, proto: ModelProto, folder: Path) -> None:
        self._tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._folder = folder
        for tensor in self._tensors.values():
            if place := stored(tensor):
                _checked(place, folder)

    def __getitem__(self, name: str) -> np.ndarray:
        return read(self._tensors[name], self._folder)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def take_in(
    proto: ModelProto, folder: Path, *, below: int | None = None, move: bool = False
) -> None:
    """Put the bytes of tensors of at most `below` bytes (of all, without it) into the model.

    With `move` the files that they were in are removed.
    """
    sources = [folder / name for name in files(proto)] if move else []
    for tensor in tensors(proto):
        place = stored(tensor)
        if place and (below is None or place.length <= below):
            with _checked(place, folder).open("rb") as file:
                file.seek(place.offset)
                tensor.raw_data = file.read(place.length)
            del tensor.external_data[:]
            tensor.ClearField("data_location")
    for source in sources:
        source.unlink()


def put_beside(proto: ModelProto, folder: Path, model: Path, *, move: bool) -> None:
    """Make one file beside `model`, named by its content, of all weights that are not small.

    `folder` is where those lie that the model already points to. With `move`, one file that is
    nothing but these weights is renamed, without a copy, and others are removed.
    """
    take_in(proto, folder, below=SMALL)
    heavy = [t for t in tensors(proto) if size(t) > SMALL and t.data_type != t.STRING]
    sources = [folder / name for name in files(proto)]
    if not (move and _taken_over(heavy, folder, model)):
        _written(heavy, folder, model)
        for source in sources if move else ():
            source.unlink()


def _taken_over(heavy: list[TensorProto], folder: Path, model: Path) -> bool:
    places = {place for tensor in heavy if (place := stored(tensor))}
    locations = {place.location for place in places}
    if len(locations) != 1 or not all(tensor.external_data for tensor in heavy):
        return False
    source = _checked(next(iter(places)), folder)
    if sum(place.length for place in places) < _FULL * source.stat().st_size:
        return False
    with source.open("rb") as file:
        name = _named(model, hashlib.file_digest(file, "sha256").hexdigest())
    try:
        source.replace(model.parent / name)
    except OSError:  # another file system
        return False
    for tensor in heavy:
        place = stored(tensor)
        assert place is not None
        point(tensor, place._replace(location=name))
    return True


def _written(heavy: list[TensorProto], folder: Path, model: Path) -> None:
    """Copy tensor by tensor; those of equal bytes share their place."""
    digests = [hashlib.sha256(_content(tensor, folder)).digest() for tensor in heavy]
    name = _named(model, hashlib.sha256(b"".join(digests)).hexdigest())
    places: dict[bytes, Stored] = {}
    with atomic.replacing(model.parent / name) as scratch, scratch.open("wb") as file:
        for tensor, digest in zip(heavy, digests, strict=True):
            if digest not in places:
                content = _content(tensor, folder)
                places[digest] = Stored(name, _aligned(file), content.nbytes)
                file.write(content)
    for tensor, digest in zip(heavy, digests, strict=True):
        point(tensor, places[digest])


def _content(tensor: TensorProto, folder: Path) -> memoryview:
    import numpy as np
    from onnx import numpy_helper

    place = stored(tensor)
    if place is None:
        return memoryview(tensor.raw_data or numpy_helper.to_array(tensor).tobytes())
    path = _checked(place, folder)
    return np.memmap(path, "u1", "r", place.offset, (place.length,)).data


def _aligned(file: IO[bytes]) -> int:
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    return file.tell()


def point(tensor: TensorProto, place: Stored) -> None:
    """Make the tensor one whose bytes are there."""
    kept = {"name", "dims", "data_type", "metadata_props", "doc_string"}
    for field, _ in tensor.ListFields():
        if field.name not in kept:
            tensor.ClearField(field.name)
    tensor.data_location = tensor.EXTERNAL
    for key, value in place._asdict().items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


def _checked(place: Stored, folder: Path) -> Path:
    """The file of a tensor; a model may name any file, but only those beside it are its own."""
    path = folder / place.location
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"it points to '{place.location}', outside of its own folder")
    if path.stat().st_size < place.offset + place.length:
        raise ValueError(f"'{place.location}' ends before the weights do")
    return path


def _named(model: Path, digest: str) -> str:
    return f"{model.stem}-{digest[:12]}.weights"


def _bytes(tensor: TensorProto) -> int:
    import onnx

    if tensor.data_type in (tensor.STRING, tensor.UNDEFINED):
        return 0
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(prod(tensor.dims) * dtype.itemsize)
