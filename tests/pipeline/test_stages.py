"""simplify, quantize, bench, run and load: each alone, also on a file that somebody else wrote."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import toolkit
from toolkit.errors import InputError, ParityError, UsageError
from toolkit.parity.fidelity import Budget
from toolkit.pipeline.quantize import Quantized
from toolkit.signature import Signature

Trained = tuple[nn.Module, Signature]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLP with two Identity nodes, a dynamic batch without a range, no metadata of ours."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((16, 64)).astype(np.float32),
        "v": rng.standard_normal((64, 8)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("MatMul", ["i", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Identity", ["r"], ["j"]),
        helper.make_node("MatMul", ["j", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    path = tmp_path_factory.mktemp("foreign") / "mlp.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def test_simplify_writes_fewer_nodes_that_behave_the_same(foreign: Path, tmp_path: Path) -> None:
    done = toolkit.simplify(foreign, tmp_path / "s.onnx")
    assert done.remark.startswith("5 -> 3 nodes (without 2 Identity)")
    assert toolkit.check(tmp_path / "s.onnx", against=foreign).holds


def test_simplify_writes_nothing_where_nothing_is_gained(digits_file: Path, tmp_path: Path) -> None:
    done = toolkit.simplify(digits_file, tmp_path / "s.onnx")
    assert not done.kept
    assert not (tmp_path / "s.onnx").exists()


@pytest.fixture(scope="module", params=["static", "dynamic"])
def quantized(
    request: pytest.FixtureRequest,
    digits_file: Path,
    images: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Quantized:
    """The digits CNN in int8, calibrated on its training images."""
    out = tmp_path_factory.mktemp("int8") / "q.onnx"
    return toolkit.quantize(digits_file, out, scheme=request.param, data={"pixels": images})[0]


def test_quantize_keeps_the_answers_of_a_trained_model(quantized: Quantized) -> None:
    assert quantized.report is not None
    (fidelity,) = quantized.report.fidelity
    assert fidelity.sqnr > 30
    assert fidelity.top1 is not None
    assert fidelity.top1 > 0.98


def test_a_quantized_file_says_that_it_was_rounded(quantized: Quantized) -> None:
    assert quantized.artifact is not None
    assert quantized.artifact.provenance.lossy


def test_quantize_works_on_a_foreign_file_without_data(foreign: Path, tmp_path: Path) -> None:
    chosen, tried = toolkit.quantize(foreign, tmp_path / "q.onnx")
    assert {q.scheme for q in tried} == {"static-products", "dynamic"}
    assert chosen.within_budget
    assert (tmp_path / "q.onnx").exists()


def test_a_quantized_file_is_judged_by_its_budget(
    quantized: Quantized, images: np.ndarray, trained: Trained
) -> None:
    file = quantized.artifact
    assert toolkit.check(file, against=trained, data={"pixels": images[:99]}, limit=20).holds
    strict = toolkit.check(file, against=trained, fidelity=Budget(min_sqnr=200.0), limit=20)
    assert "below the budget of 200 dB" in strict.reason


def test_quantize_writes_nothing_that_is_over_the_budget(
    digits_file: Path, images: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(ParityError, match="no scheme is within the accuracy budget"):
        toolkit.quantize(
            digits_file,
            tmp_path / "q.onnx",
            scheme="dynamic",
            data={"pixels": images},
            fidelity=Budget(min_sqnr=200.0),
        )
    assert list(tmp_path.iterdir()) == []


def test_quantize_knows_its_schemes(foreign: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no scheme 'int3'"):
        toolkit.quantize(foreign, tmp_path / "q.onnx", scheme="int3")


def test_bench_times_sources_and_files_side_by_side(trained: Trained, digits_file: Path) -> None:
    timings = toolkit.bench(trained[0], digits_file, budget=0.5)
    assert [(t.subject, t.sizes["batch"]) for t in timings] == [
        ("CNN", 1),
        (str(digits_file), 1),
        ("CNN", 16),
        (str(digits_file), 16),
    ]
    assert all(t.ratio == 1.0 for t in timings if t.subject == "CNN")


def test_bench_takes_only_sizes_of_the_signature(digits_file: Path) -> None:
    with pytest.raises(UsageError, match="batch = 65 is outside of the signature"):
        toolkit.bench(digits_file, sizes=[{"batch": 65}])


def test_run_gives_what_the_original_gives(
    trained: Trained, digits_file: Path, images: np.ndarray, tmp_path: Path
) -> None:
    import torch

    ran = toolkit.run(digits_file, {"pixels": images}, tmp_path / "p.npz", device="cpu")
    assert (ran.rows, dict(ran.shapes)) == (1437, {"probabilities": (1437, 10)})
    with torch.no_grad():
        expected = trained[0](torch.from_numpy(images))["probabilities"].numpy()
    found = np.load(tmp_path / "p.npz")["probabilities"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_run_takes_inputs_by_name(digits_file: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images[:5])
    ran = toolkit.run(digits_file, [f"pixels={tmp_path / 'images.npy'}"], tmp_path / "p.npy")
    assert np.load(tmp_path / "p.npy").shape == ran.shapes["probabilities"] == (5, 10)


def test_run_writes_nothing_where_a_late_row_is_out_of_range(
    digits_file: Path, images: np.ndarray, tmp_path: Path
) -> None:
    spoiled = images.copy()
    spoiled[1400, 0, 0, 0] = 7.0
    with pytest.raises(InputError, match=r"'pixels' holds 7\.0"):
        toolkit.run(digits_file, {"pixels": spoiled}, tmp_path / "p.npz")
    assert list(tmp_path.iterdir()) == []


def test_load_gives_a_session_that_says_where_it_runs(foreign: Path) -> None:
    session = toolkit.load(foreign, device="cpu")
    assert session.device == "cpu"
    assert session.run({"x": np.zeros((2, 16), np.float32)})["y"].shape == (2, 8)
