"""Files in, files out: a model over any number of rows, in constant memory."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from toolkit import atomic
from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.inference.data import Data
from toolkit.plugins import Session

Progress = Callable[[int, int], None]


def run_to_file(
    session: Session,
    data: Data,
    out: Path,
    *,
    batch: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, tuple[int, ...]]:
    """Run all rows and write the outputs to `.npz` (or `.npy`, of a model with one output).

    Each feed is validated before the runtime sees it. Returns the shape written for each output.
    Raises InputError where a feed does not fit the signature; then nothing is written.
    """
    if out.suffix not in (".npz", ".npy"):
        raise InputError(f"cannot write '{out}'", "name an .npz or .npy file")
    _require_room(out, [s.name for s in session.signature.outputs])
    with atomic.workspace(out) as folder:
        written = _run(session, data, folder, batch, progress)
        _require_room(out, list(written))
        shapes = {name: array.shape for name, array in written.items()}
        for array in written.values():
            if isinstance(array, np.memmap):
                array.flush()
        files = [folder / f"{number}.npy" for number in range(len(written))]
        with atomic.replacing(out) as scratch:
            if out.suffix == ".npy":
                files[0].replace(scratch)
            else:
                with zipfile.ZipFile(scratch, "w") as archive:
                    for name, file in zip(written, files, strict=True):
                        archive.write(file, f"{name}.npy")
    return shapes


def _require_room(out: Path, names: list[str]) -> None:
    if out.suffix == ".npy" and len(names) > 1:
        raise InputError(
            f"'{out}' holds one array, the model has the outputs {', '.join(names)}",
            "name an .npz file",
        )


def _run(
    session: Session, data: Data, folder: Path, batch: int | None, progress: Progress
) -> dict[str, np.ndarray]:
    if data.rows > data.batch_size(batch):
        _require_independent_rows(session, data)
    written: dict[str, np.ndarray] = {}
    done = 0
    for feed, count in data.batches(batch):
        data.signature.validate(feed)
        outputs = session.run(feed)
        whole = data.rows == count
        for number, (name, array) in enumerate(outputs.items()):
            if not whole:
                _require_rows(name, array, len(feed[data.batched[0]]))
                array = array[:count]  # noqa: PLW2901
            if name not in written:
                shape = array.shape if whole else (data.rows, *array.shape[1:])
                written[name] = _created(folder / f"{number}.npy", array.dtype, shape)
            try:
                written[name][... if whole else slice(done, done + count)] = array
            except ValueError as error:
                raise InputError(
                    f"output '{name}' changes its shape between batches: {list(array.shape)}",
                    "run it in one batch: --batch N",
                ) from error
        done += count
        progress(done, data.rows)
    return written


def _require_independent_rows(session: Session, data: Data) -> None:
    """Is what leads the inputs a batch, or a time that must not be cut? Run some rows both ways."""
    batch = data.signature.batch
    legal = data.signature.dim(batch).legal if batch else ()
    sizes = list(islice((n for n in legal if 0 < n <= data.rows), 2))
    if len(sizes) < 2:
        return
    few, more = sizes
    together = session.run(_valid(data, 0, more))
    for start in (0, more - few):  # a row may depend on those after it, or on those before
        alone = session.run(_valid(data, start, few))
        for name, array in alone.items():
            whole = together[name]
            if whole.shape[:1] != (more,) or not _alike(whole[start : start + few], array):
                raise InputError(
                    f"'{batch}' is no batch: a row of '{name}' depends on the rows beside it",
                    f"run all {data.rows} rows at once: --batch {data.rows}, in the signature's"
                    " range",
                )


def _valid(data: Data, start: int, count: int) -> dict[str, np.ndarray]:
    feed = data.feed(start, count)
    data.signature.validate(feed)
    return feed


def _alike(rows: np.ndarray, alone: np.ndarray) -> bool:
    """Within 5 %: dynamic int8 takes its ranges from the whole batch."""
    if rows.shape != alone.shape or not rows.size:
        return rows.shape == alone.shape
    if DTYPES[str(rows.dtype)].kind != "f":
        return float(np.mean(rows != alone)) <= 0.05
    one, other = rows.astype(np.float64), alone.astype(np.float64)
    return not np.abs(one - other).max() > 0.05 * np.abs(one).max()  # NaN is alike


def _require_rows(name: str, array: np.ndarray, rows: int) -> None:
    if array.ndim == 0 or len(array) != rows:
        raise InputError(
            f"output '{name}' has no row a sample: its shape is {list(array.shape)}",
            "run it in one batch: --batch N",
        )


def _created(path: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> np.ndarray:
    """An array in a file, to be filled batch by batch; one without elements cannot be mapped."""
    if not np.prod(shape):
        np.save(path, np.empty(shape, dtype))
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(path, "w+", dtype, shape)
