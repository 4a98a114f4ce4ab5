"""A model without the weights that its own file holds: they are pointed to, as external ones are.

Protobuf has no lazy fields: to parse a file of 440 MB takes its bytes twice. What is skipped here
is `raw_data` of the main graph's initializers, found by the wire format (protobuf.dev, Encoding).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from toolkit import external
from toolkit.external import Stored
from toolkit.proto import parse_model

if TYPE_CHECKING:
    from onnx import ModelProto

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Numbers of fields in onnx.proto: of ModelProto, GraphProto and TensorProto."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    start: int
    content: int
    end: int


def outline(path: Path) -> ModelProto:
    """The model; tensors above `external.SMALL` bytes in the file point to their place in it.

    Raises OSError where it cannot be read, and as `proto.parse_model` does where it is no model.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            return parse_model(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                short, places = _shortened(data)
            except (IndexError, ValueError):  # protobuf says what is wrong with it
                return parse_model(data[:])
    model = parse_model(short)
    for index, (offset, length) in places.items():
        external.point(model.graph.initializer[index], Stored(path.name, offset, length))
    return model


def _shortened(data: mmap.mmap) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """The message without those bytes, and where they are by the place of their tensor."""
    parts: list[bytes] = []
    places: dict[int, tuple[int, int]] = {}
    count = 0
    for field in _fields(data, 0, len(data)):
        if field.number != _GRAPH:
            parts.append(data[field.start : field.end])
            continue
        inner: list[bytes] = []
        for part in _fields(data, field.content, field.end):
            if part.number != _INITIALIZER:
                inner.append(data[part.start : part.end])
                continue
            tensor = [*_fields(data, part.content, part.end)]
            raw = [f for f in tensor if f.number == _RAW_DATA]
            if len(raw) == 1 and raw[0].end - raw[0].content > external.SMALL:
                places[count] = raw[0].content, raw[0].end - raw[0].content
                tensor.remove(raw[0])
            inner.append(_message(_INITIALIZER, [data[f.start : f.end] for f in tensor]))
            count += 1
        parts.append(_message(_GRAPH, inner))
    return b"".join(parts), places


def _message(number: int, parts: list[bytes]) -> bytes:
    content = b"".join(parts)
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    """Raises ValueError or IndexError where these bytes are no message."""
    while start < end:
        tag, content = _read_varint(data, start)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, after = _read_varint(data, content)
        elif wire == _BYTES:
            size, content = _read_varint(data, content)
            after = content + size
        elif wire in (_FIXED32, _FIXED64):
            after = content + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"wire type {wire}")
        if after > end:
            raise ValueError("a field ends after its message")
        yield _Field(number, start, content, after)
        start = after


def _read_varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
