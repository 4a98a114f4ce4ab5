"""Array files by input name, and how their rows go through a model in batches."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st

from toolkit.errors import InputError
from toolkit.inference.data import CALIBRATION_ROWS, from_arrays, open_data
from toolkit.signature import Signature

ONE = Signature.parse("x: float32[n, 2]; where n = 1..8")
TWO = Signature.parse("a: float32[n, 2]; b: int64[n]; where n = 1..8")

Writer = Callable[[Path], object]


def rows(count: int) -> np.ndarray:
    return np.arange(count * 2, dtype=np.float32).reshape(count, 2)


def test_npy_is_mapped_and_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", rows(5))
    found = open_data(tmp_path / "d.npy", ONE).arrays["x"]
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, rows(5))


@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_is_mapped_and_not_read(tmp_path: Path, order: Literal["C", "F"]) -> None:
    np.savez(tmp_path / "d.npz", a=np.array(rows(5), order=order), b=np.arange(5))
    found = open_data(tmp_path / "d.npz", TWO).arrays
    assert all(isinstance(array, np.memmap) for array in found.values())
    np.testing.assert_array_equal(found["a"], rows(5))
    np.testing.assert_array_equal(found["b"], np.arange(5))


def test_compressed_npz_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", a=rows(5), b=np.arange(5))
    found = open_data(tmp_path / "d.npz", TWO).arrays
    np.testing.assert_array_equal(found["a"], rows(5))
    np.testing.assert_array_equal(found["b"], np.arange(5))


def test_bfloat16_is_read_though_numpy_writes_it_without_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", rows(5).astype(ml_dtypes.bfloat16))
    signature = Signature.parse("x: bfloat16[n, 2]; where n = 1..8")
    ((feed, _),) = open_data(tmp_path / "d.npy", signature).batches()
    signature.validate(feed)


class Trap:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("d.npy", lambda path, trap: np.save(path, trap, allow_pickle=True)),
        ("d.npz", lambda path, trap: np.savez(path, x=trap)),
        ("d.npz", lambda path, trap: np.savez_compressed(path, x=trap)),
        ("d.npy", lambda path, trap: path.write_bytes(pickle.dumps(trap))),
    ],
    ids=["npy", "npz", "compressed npz", "pickle"],
)
def test_nothing_is_unpickled(
    tmp_path: Path, name: str, write: Callable[[Path, np.ndarray], object]
) -> None:
    write(tmp_path / name, np.array([Trap(tmp_path / "sprung")], dtype=object))
    with pytest.raises(InputError, match="is not an array file"):
        open_data(tmp_path / name, ONE)
    assert not (tmp_path / "sprung").exists()


def npz_named_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=rows(3))


def damaged(path: Path) -> None:
    noise = np.random.default_rng(0).random((300, 2), np.float32)
    np.savez_compressed(path, x=noise)
    content = bytearray(path.read_bytes())
    content[200:260] = b"\xff" * 60
    path.write_bytes(content)


def from_the_future(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows(3))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", buffer.getvalue().replace(b"NUMPY\x01", b"NUMPY\x09"))


def shorter_than_it_says(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows(3))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", buffer.getvalue()[:-8])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("d.npy", lambda path: path.write_bytes(b"")),
        ("d.npy", lambda path: path.write_text("1, 2, 3")),
        ("d.npz", lambda path: path.write_text("1, 2, 3")),
        ("d.npy", npz_named_npy),
        ("d.npz", damaged),
        ("d.npz", from_the_future),
        ("d.npz", shorter_than_it_says),
    ],
    ids=[
        "empty",
        "text",
        "text named npz",
        "npz named npy",
        "damaged",
        "unknown version",
        "cut short",
    ],
)
def test_refuses_what_is_not_an_array_file(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match="is not an array file"):
        open_data(tmp_path / name, ONE)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        open_data(tmp_path / "d.npy", ONE)


def test_refuses_one_array_for_several_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", rows(3))
    with pytest.raises(
        InputError, match=r"inputs a, b\nsave them with np\.savez\(path, a=\.\.\., b"
    ):
        open_data(tmp_path / "d.npy", TWO)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": rows(3), "b": np.arange(3), "c": rows(3)}, "no input 'c'\ninputs are: a, b"),
        ({"a": rows(3)}, "input 'b' is missing\nthe data has: a"),
        ({"a": rows(3), "b": np.arange(2)}, "different numbers of rows: a 3, b 2"),
        ({"a": rows(3)[0], "b": np.arange(2)}, r"'a' has shape \[2\], expected \[n, 2\]"),
        ({"a": rows(0), "b": np.arange(0)}, r"'a' has n = 0, expected 1\.\.8"),
    ],
    ids=["unknown", "missing", "other rows", "other rank", "no rows"],
)
def test_refuses_arrays_that_do_not_fit(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays(arrays, TWO)


@pytest.mark.parametrize(
    ("shape", "count", "wanted", "sizes", "counts"),
    [
        ("[n, 2]; where n = 1..8", 20, None, [8, 8, 4], [8, 8, 4]),
        ("[n, 2]; where n = 1..8", 7, 3, [3, 3, 1], [3, 3, 1]),
        ("[n, 2]; where n = 1..8", 6, 3, [3, 3], [3, 3]),
        ("[n, 2]; where n = 4..16 step 4", 10, 4, [4, 4, 4], [4, 4, 2]),
        ("[n, 2]; where n = 4..16 step 4", 11, 12, [12], [11]),
        ("[n, 2]; where n = {1, 8}", 11, 8, [8, 8], [8, 3]),
        ("[n, 2]; where n = 3..8", 1, 8, [3], [1]),
        ("[4, 2]", 6, None, [4, 4], [4, 2]),
    ],
)
def test_the_last_batch_is_shorter_or_filled_up_to_a_legal_size(
    shape: str, count: int, wanted: int | None, sizes: list[int], counts: list[int]
) -> None:
    data = from_arrays({"x": rows(count)}, Signature.parse(f"x: float32{shape}"))
    batches = list(data.batches(wanted))
    assert [len(feed["x"]) for feed, _ in batches] == sizes
    assert [used for _, used in batches] == counts


def test_a_batch_is_filled_up_with_its_last_row() -> None:
    data = from_arrays({"x": rows(3)}, Signature.parse("x: float32[4, 2]"))
    ((feed, _),) = data.batches()
    np.testing.assert_array_equal(feed["x"], rows(3)[[0, 1, 2, 2]])


@given(
    st.integers(1, 60),
    st.none() | st.integers(1, 70),
    st.sampled_from(["n = 1..8", "n = 3..20", "n = 4..16 step 4", "n = {2, 5, 32}", "n = 7"]),
)
def test_the_rows_that_count_are_all_rows_in_order(
    count: int, wanted: int | None, sizes: str
) -> None:
    signature = Signature.parse(f"x: float32[n, 2]; where {sizes}")
    batches = list(from_arrays({"x": rows(count)}, signature).batches(wanted))
    assert all(len(feed["x"]) in signature.dim("n").sizes for feed, _ in batches)
    joined = np.concatenate([feed["x"][:used] for feed, used in batches])
    np.testing.assert_array_equal(joined, rows(count))


def test_an_input_without_rows_goes_along_with_every_batch() -> None:
    signature = Signature.parse("x: float32[n, 2]; scale: float32[]; where n = 1..2")
    data = from_arrays({"x": rows(4), "scale": np.array(3, np.float32)}, signature)
    assert [float(feed["scale"]) for feed, _ in data.batches()] == [3.0, 3.0]


def test_inputs_without_a_common_batch_go_through_whole() -> None:
    signature = Signature.parse("x: float32[n, 2]; y: float32[m, 2]; where n = 1..8, m = 1..8")
    ((feed, count),) = from_arrays({"x": rows(5), "y": rows(3)}, signature).batches(2)
    assert ({name: len(a) for name, a in feed.items()}, count) == ({"x": 5, "y": 3}, 1)


@pytest.mark.parametrize(
    ("count", "first"), [(2 * CALIBRATION_ROWS, CALIBRATION_ROWS), (2 * CALIBRATION_ROWS - 1, 0)]
)
def test_accuracy_is_measured_on_other_rows_than_calibration_where_there_are_as_many(
    count: int, first: int
) -> None:
    held_out = from_arrays({"x": rows(count)}, ONE).after_calibration()
    np.testing.assert_array_equal(held_out.arrays["x"], rows(count)[first:])
