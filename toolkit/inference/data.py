"""Arrays in files, by input name, without reading more of them than is asked for.

`.npy` holds one input, `.npz` one array an input. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.dtypes import numpy_dtype
from toolkit.errors import InputError
from toolkit.signature import Signature

DEFAULT_BATCH = 32
CALIBRATION_ROWS = 256
"""How many rows give the ranges of static quantization; more change little and cost memory."""


@dataclass(frozen=True)
class Data:
    """The inputs of a model, for any number of rows: more than it may take at once."""

    signature: Signature
    arrays: Mapping[str, np.ndarray]

    @property
    def batched(self) -> tuple[str, ...]:
        """The inputs that have a row a sample; the others go along whole with every batch."""
        specs = self.signature.inputs
        leading = {s.shape[0] for s in specs if s.shape}
        fixed = len(leading) == 1 and isinstance(next(iter(leading)), int)
        if self.signature.batch is None and not fixed:
            return ()
        return tuple(s.name for s in specs if s.shape)

    @property
    def rows(self) -> int:
        return len(self.arrays[self.batched[0]]) if self.batched else 1

    def batch_size(self, wanted: int | None = None) -> int:
        """How many rows go together: the legal size nearest to `wanted`."""
        if batch := self.signature.batch:
            return self.signature.dim(batch).snap(wanted or DEFAULT_BATCH)
        specs = (s for s in self.signature.inputs if s.shape)
        return int(next(specs).shape[0]) if self.batched else 1

    def after_calibration(self) -> Data:
        """The rows that calibration does not use, where there are as many again; else all."""
        if self.rows < 2 * CALIBRATION_ROWS:
            return self
        rows = {n: a[CALIBRATION_ROWS:] for n, a in self.arrays.items() if n in self.batched}
        return Data(self.signature, {**self.arrays, **rows})

    def batches(self, wanted: int | None = None) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        """Feeds of `batch_size` rows each, with the number of rows that count.

        The last one is filled up by repeating its last row where fewer would not be legal.
        """
        size, batch = self.batch_size(wanted), self.signature.batch
        for start in range(0, max(self.rows, 1), size):
            count = min(size, self.rows - start)
            legal = batch is not None and count in self.signature.dim(batch).sizes
            padded = count if legal or not self.batched else _enough(self, count, size)
            yield self.feed(start, count, padded), count

    def feed(self, start: int, count: int, padded: int = 0) -> dict[str, np.ndarray]:
        """`count` rows from `start` on, the last one repeated to make `padded`."""
        feed = {}
        for name, array in self.arrays.items():
            if name not in self.batched:
                feed[name] = np.asarray(array)
                continue
            rows = np.asarray(array[start : start + count])
            if padded > count:
                rows = np.concatenate([rows, np.repeat(rows[-1:], padded - count, axis=0)])
            feed[name] = rows
        return feed


def _enough(data: Data, count: int, size: int) -> int:
    batch = data.signature.batch
    if batch is None:
        return size
    return next((n for n in data.signature.dim(batch).legal if n >= count), size)


def open_data(path: Path | str, signature: Signature) -> Data:
    """Open `.npy` or `.npz` for a model. Raises InputError where names or row counts do not fit."""
    return from_arrays(read_arrays(path, [s.name for s in signature.inputs]), signature)


def read_arrays(path: Path | str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` by name, or that of an `.npy` under the only one of `names`.

    What is not compressed is mapped and not read. Raises InputError where there are none.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file '{path}'", "name an .npy or .npz file")
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        if len(names) > 1:
            raise InputError(
                f"'{path}' holds one array, the model has the inputs {', '.join(names)}",
                "save them with np.savez(path, " + ", ".join(f"{n}=..." for n in names) + ")",
            )
        return {names[0]: np.lib.format.open_memmap(path, mode="r")}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"'{path}' is not an array file: {str(error).splitlines()[0][:200]}",
            "write it with np.save or np.savez, without objects",
        ) from error


def from_arrays(arrays: Mapping[str, np.ndarray], signature: Signature) -> Data:
    """Data from arrays in memory. Raises InputError where names or row counts do not fit."""
    names = [s.name for s in signature.inputs]
    if unknown := sorted(set(arrays) - set(names)):
        raise InputError(f"there is no input '{unknown[0]}'", "inputs are: " + ", ".join(names))
    if missing := [n for n in names if n not in arrays]:
        raise InputError(f"input '{missing[0]}' is missing", "the data has: " + ", ".join(arrays))
    arrays = {s.name: _typed(arrays[s.name], s.dtype) for s in signature.inputs}
    data = Data(signature, arrays)
    counts = {name: len(arrays[name]) for name in data.batched if arrays[name].ndim}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{n} {c}" for n, c in counts.items())
        raise InputError(f"inputs have different numbers of rows: {shown}", "one row a sample")
    for spec in signature.inputs:
        if arrays[spec.name].ndim != len(spec.shape) or arrays[spec.name].shape[:1] == (0,):
            signature.validate({s.name: np.asarray(arrays[s.name]) for s in signature.inputs})
    return data


def _typed(array: np.ndarray, dtype: str) -> np.ndarray:
    """numpy's files hold bfloat16 as two bytes without a type."""
    untyped = array.dtype == np.dtype("V2") and dtype == "bfloat16"
    return array.view(numpy_dtype(dtype)) if untyped else array


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.compress_type == zipfile.ZIP_STORED:
                arrays[name] = _mapped(path, archive, member)
            else:
                with archive.open(member) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _mapped(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """An uncompressed member as a memory map: np.load would read all of it."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version} is not known")
        header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(file)
        inside = file.tell()
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if inside + int(np.prod(shape, dtype=object)) * dtype.itemsize > member.file_size:
        raise ValueError(f"'{member.filename}' is cut short")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # the local header's name and extra lengths
        lengths = np.frombuffer(file.read(4), "<u2")
    offset = member.header_offset + 30 + int(lengths.sum()) + inside
    if not np.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")
