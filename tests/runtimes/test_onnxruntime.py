"""ONNX Runtime: every dtype of a signature in and out, and no device but the one asked for."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from runtimes.onnxruntime import OnnxRuntime, Unoptimized
from runtimes.opening import CPU
from tests import models
from tests.graphs import saved
from toolkit import examples, source
from toolkit.artifact import OnnxArtifact
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError, MissingError, NotLoadable

SIGNATURE = "x: float32[n, 2]; where n = 1..8; -> y: float32[n, 2]"
CUDA_WORKS = "cuda" in OnnxRuntime().availability().devices


@pytest.fixture
def artifact(tmp_path: Path) -> OnnxArtifact:
    return saved(
        tmp_path / "m.onnx", "(float[n, 2] x) => (float[n, 2] y) { y = Add(x, x) }", SIGNATURE
    )


def test_runs_on_the_cpu(artifact: OnnxArtifact) -> None:
    session = OnnxRuntime().load(artifact, "cpu")
    assert (session.device, session.providers) == ("cpu", (CPU,))
    y = session.run({"x": np.ones((3, 2), np.float32)})["y"]
    np.testing.assert_array_equal(y, np.full((3, 2), 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_in_and_comes_out(tmp_path: Path, dtype: str) -> None:
    name = {"float32": "float", "float64": "double"}.get(dtype, dtype)
    graph = f"({name}[n, 2] x) => ({name}[n, 2] y) {{ y = Flatten(x) }}"
    artifact = saved(
        tmp_path / "m.onnx", graph, f"x: {dtype}[n, 2]; where n = 1..8; -> y: {dtype}[n, 2]"
    )
    (spec,) = artifact.signature.inputs
    x = examples.draw(spec, (3, 2), "uniform", np.random.default_rng(0))
    y = OnnxRuntime().load(artifact, "cpu").run({"x": x})["y"]
    assert y.dtype == numpy_dtype(dtype)
    np.testing.assert_array_equal(y, x)


def test_bfloat16_goes_in_beside_other_dtypes(tmp_path: Path) -> None:
    graph = (
        "(bfloat16[n] x, bool[n] b) => (float[n] y, bool[n] c) { y = Cast<to = 1>(x) c = Not(b) }"
    )
    signature = "x: bfloat16[n]; b: bool[n]; where n = 1..8; -> y: float32[n]; -> c: bool[n]"
    session = OnnxRuntime().load(saved(tmp_path / "m.onnx", graph, signature), "cpu")
    x = np.array([1.5, -2]).astype(numpy_dtype("bfloat16"))
    outputs = session.run({"x": x, "b": np.array([True, False])})
    np.testing.assert_equal(outputs, {"y": [1.5, -2], "c": [False, True]})


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ({"x": np.ones((3, 5), np.float32)}, "Got: 5 Expected: 2"),
        ({"x": np.ones(3, np.float32)}, "Invalid rank for input: x"),
        ({"x": np.ones((3, 2))}, "Unexpected input data type"),
        ({"z": np.ones((3, 2), np.float32)}, "Required inputs"),
    ],
    ids=["size", "rank", "dtype", "name"],
)
def test_a_feed_is_refused_with_the_reason_of_the_runtime(
    artifact: OnnxArtifact, feed: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(InputError, match=f"ONNX Runtime: .*{reason}.*\nfed with "):
        OnnxRuntime().load(artifact, "cpu").run(feed)


def test_a_file_that_it_cannot_load_is_named(tmp_path: Path) -> None:
    graph = "(float[n, 2] x) => (float[n, 2] y) { y = Unknown(x) }"
    with pytest.raises(NotLoadable, match=r"ONNX Runtime [\d.]+ cannot load 'm\.onnx': .*Unknown"):
        OnnxRuntime().load(saved(tmp_path / "m.onnx", graph, SIGNATURE), "cpu")


def test_refuses_a_module() -> None:
    with pytest.raises(InputError, match="'Linear' is not an ONNX file\nexport it first"):
        OnnxRuntime().load(source.load(models.linear()), "cpu")


def test_unoptimized_runs_the_graph_as_it_is_written(artifact: OnnxArtifact) -> None:
    assert Unoptimized.level == ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    y = Unoptimized().load(artifact, "cpu").run({"x": np.ones((1, 2), np.float32)})["y"]
    np.testing.assert_array_equal(y, np.full((1, 2), 2))


@pytest.mark.skipif(CUDA_WORKS, reason="CUDA works on this machine")
def test_cuda_is_refused_with_what_is_missing_and_never_replaced(artifact: OnnxArtifact) -> None:
    with pytest.raises(MissingError) as caught:
        OnnxRuntime().load(artifact, "cuda")
    assert any(
        word in caught.value.message
        for word in ("build without CUDA", "no NVIDIA driver", "library", "CUDA provider")
    )
    assert caught.value.hint


def test_a_device_that_nobody_has_is_refused(artifact: OnnxArtifact) -> None:
    with pytest.raises(MissingError, match=r"no device 'abacus'\ndevices that work here: .*cpu"):
        OnnxRuntime().load(artifact, "abacus")


def test_auto_takes_a_device_that_works_and_says_which(artifact: OnnxArtifact) -> None:
    session = OnnxRuntime().load(artifact, "auto")
    assert session.device == ("cuda" if CUDA_WORKS else "cpu")
    assert session.providers[0] == f"{session.device.upper()}ExecutionProvider"
