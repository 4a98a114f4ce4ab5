"""A model over files of any length: what is written, and what is refused without writing."""

from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.graphs import saved
from toolkit.errors import InputError
from toolkit.inference.data import Data, from_arrays
from toolkit.inference.stream import run_to_file
from toolkit.plugins import Session

SIGNATURE = "x: float32[n, 3] in -100..100; where n = 1..8; -> y: float32[n, 3]"
TWICE = "(float[n, 3] x) => (float[n, 3] y) { y = Add(x, x) }"
X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)


def session(folder: Path, graph: str = TWICE, signature: str = SIGNATURE) -> Session:
    return toolkit.load(saved(folder / "m.onnx", graph, signature), device="cpu")


def fed(loaded: Session, x: np.ndarray = X) -> Data:
    return from_arrays({"x": x}, loaded.signature)


@pytest.mark.parametrize("batch", [None, 1, 3, 5])
def test_batches_give_what_one_run_gives(tmp_path: Path, batch: int | None) -> None:
    loaded = session(tmp_path)
    shapes = run_to_file(loaded, fed(loaded), tmp_path / "y.npz", batch=batch)
    assert shapes == {"y": (20, 3)}
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], 2 * X)


def test_padding_of_the_last_batch_is_not_written(tmp_path: Path) -> None:
    loaded = session(tmp_path, signature=SIGNATURE.replace("1..8", "8"))
    run_to_file(loaded, fed(loaded), tmp_path / "y.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], 2 * X)


def test_progress_is_told_in_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    loaded = session(tmp_path)
    run_to_file(loaded, fed(loaded), tmp_path / "y.npz", progress=lambda *n: told.append(n))
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_one_output_may_go_to_npy(tmp_path: Path) -> None:
    loaded = session(tmp_path)
    run_to_file(loaded, fed(loaded), tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), 2 * X)


TWO_OUTPUTS = (
    "(float[n, 3] x) => (float[n, 3] y, int64[n] best)"
    "{ y = Add(x, x) best = ArgMax<axis = 1, keepdims = 0>(x) }"
)


def test_all_outputs_go_to_npz(tmp_path: Path) -> None:
    loaded = session(tmp_path, TWO_OUTPUTS, SIGNATURE + "; -> best: int64[n]")
    run_to_file(loaded, fed(loaded), tmp_path / "y.npz")
    found = np.load(tmp_path / "y.npz")
    np.testing.assert_array_equal(found["y"], 2 * X)
    np.testing.assert_array_equal(found["best"], X.argmax(1))


def refused(folder: Path, out: str, loaded: Session, x: np.ndarray = X) -> str:
    """The error that running into that file ends with; what the folder held is untouched."""
    (folder / out).write_bytes(b"older")
    with pytest.raises(InputError) as caught:
        run_to_file(loaded, fed(loaded, x), folder / out, batch=8)
    assert (folder / out).read_bytes() == b"older"
    assert {p.name for p in folder.iterdir()} == {"m.onnx", out}
    return str(caught.value)


def test_refuses_two_outputs_in_npy(tmp_path: Path) -> None:
    loaded = session(tmp_path, TWO_OUTPUTS, SIGNATURE + "; -> best: int64[n]")
    reason = refused(tmp_path, "y.npy", loaded)
    assert reason.endswith("the model has the outputs y, best\nname an .npz file")


def test_refuses_other_kinds_of_files(tmp_path: Path) -> None:
    assert "name an .npz or .npy file" in refused(tmp_path, "y.csv", session(tmp_path))


def test_refuses_a_value_out_of_range_in_a_late_row(tmp_path: Path) -> None:
    spoiled = X.copy()
    spoiled[19, 2] = 101
    reason = refused(tmp_path, "y.npz", session(tmp_path), spoiled)
    assert reason.startswith("input 'x' holds 101.0, expected -100..100")


def test_refuses_an_output_without_rows(tmp_path: Path) -> None:
    mean = "(float[n, 3] x) => (float[1, 3] y) { y = ReduceMean<keepdims = 1>(x, axis) }"
    artifact = saved(
        tmp_path / "m.onnx", mean, "x: float32[n, 3]; where n = 1..8", axis=np.array([0])
    )
    refused(tmp_path, "y.npz", toolkit.load(artifact, device="cpu"))


@pytest.mark.parametrize("direction", ["reverse = 0", "reverse = 1"], ids=["forward", "backward"])
def test_refuses_to_cut_a_time_into_batches(tmp_path: Path, direction: str) -> None:
    """A running sum over the first axis: each row depends on those before (or after) it."""
    total = f"(float[n, 3] x) => (float[n, 3] y) {{ y = CumSum<{direction}>(x, axis) }}"
    artifact = saved(tmp_path / "m.onnx", total, SIGNATURE, axis=np.array(0))
    reason = refused(tmp_path, "y.npz", toolkit.load(artifact, device="cpu"))
    assert "'n' is no batch: a row of 'y' depends on the rows beside it" in reason


@pytest.mark.parametrize(
    ("kind", "sizes"), [("int64", "1..8"), ("float32", "4..8 step 4")], ids=["integers", "steps"]
)
def test_refuses_to_cut_a_time_of_any_dtype_or_step(tmp_path: Path, kind: str, sizes: str) -> None:
    onnx_type = kind.replace("float32", "float")
    total = f"({onnx_type}[n, 3] x) => ({onnx_type}[n, 3] y) {{ y = CumSum(x, axis) }}"
    signature = SIGNATURE.replace("float32", kind).replace("1..8", sizes)
    artifact = saved(tmp_path / "m.onnx", total, signature, axis=np.array(0))
    x = (np.arange(60).reshape(20, 3) + 1).astype(kind)
    assert "'n' is no batch" in refused(tmp_path, "y.npz", toolkit.load(artifact, device="cpu"), x)


def test_a_time_runs_in_one_batch(tmp_path: Path) -> None:
    total = "(float[n, 3] x) => (float[n, 3] y) { y = CumSum(x, axis) }"
    signature = SIGNATURE.replace("1..8", "1..20")
    artifact = saved(tmp_path / "m.onnx", total, signature, axis=np.array(0))
    loaded = toolkit.load(artifact, device="cpu")
    run_to_file(loaded, fed(loaded), tmp_path / "y.npz", batch=20)
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["y"], X.cumsum(0), atol=1e-5)


def test_an_output_without_elements_is_written(tmp_path: Path) -> None:
    graph = "(float[n, 3] x) => (float[n, 0] y) { y = Slice(x, zero, zero, one) }"
    artifact = saved(
        tmp_path / "m.onnx",
        graph,
        "x: float32[n, 3]; where n = 1..8; -> y: float32[n, 0]",
        zero=np.array([0]),
        one=np.array([1]),
    )
    loaded = toolkit.load(artifact, device="cpu")
    assert run_to_file(loaded, fed(loaded), tmp_path / "y.npz") == {"y": (20, 0)}


@pytest.mark.parametrize("out", ["y.npz", "y.npy"])
def test_no_rows_give_no_rows(tmp_path: Path, out: str) -> None:
    loaded = session(tmp_path, signature=SIGNATURE.replace("1..8", "0..8"))
    shapes = run_to_file(loaded, fed(loaded, X[:0]), tmp_path / out)
    assert shapes == {"y": (0, 3)}
