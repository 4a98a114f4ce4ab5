"""int8 files: which schemes apply, what they write, and that the answers stay."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from exporters.torchscript import TorchScript
from tests.graphs import saved
from toolkit import source
from toolkit.artifact import OnnxArtifact, Provenance, read_weights
from toolkit.errors import InputError
from toolkit.inference.data import CALIBRATION_ROWS, Data, from_arrays
from toolkit.optimize.normalize import normalize
from toolkit.quantization import cpu
from toolkit.quantization.int8 import SCHEMES, applicable, quantize

BRIGHTEST = 0.5
"""The largest pixel of the rows that are calibrated on; the signature allows 1."""

ROWS = "where n = 1..32"
GRAPHS = {
    "Conv": "(float[n, 1, 4, 4] x) => (float[n, 2, 2, 2] y) { y = Conv(x, w) }",
    "Conv, MatMul": "(float[n, 1, 4, 4] x) => (float[n, 2, 2, 2] y)"
    "{ h = Conv(x, w) y = MatMul(h, v) }",
    "MatMul": "(float[n, 4] x) => (float[n, 2] y) { y = MatMul(x, w) }",
    "Gemm": "(float[n, 4] x) => (float[n, 2] y) { y = Gemm(x, w) }",
    "LSTM": "(float[t, 1, 4] x) => (float[t, 1, 1, 2] y) { y = LSTM<hidden_size = 2>(x, w, r) }",
    "Relu": "(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }",
}


@pytest.mark.parametrize(
    ("graph", "schemes"),
    [
        ("Conv", ["static"]),
        ("Conv, MatMul", ["static", "dynamic"]),
        ("MatMul", ["static-products", "dynamic"]),
        ("Gemm", ["static-products", "dynamic"]),
        ("LSTM", ["dynamic"]),
        ("Relu", []),
    ],
)
def test_the_operators_of_a_graph_decide_on_its_schemes(
    tmp_path: Path, graph: str, schemes: list[str]
) -> None:
    artifact = saved(tmp_path / "m.onnx", GRAPHS[graph], "x: float32[4]")
    assert [s.name for s in applicable(artifact)] == schemes


@pytest.mark.parametrize("scheme", SCHEMES)
def test_refuses_a_graph_without_anything_to_quantize(tmp_path: Path, scheme: str) -> None:
    artifact = saved(tmp_path / "m.onnx", GRAPHS["Relu"], f"x: float32[n, 4]; {ROWS}")
    data = from_arrays({"x": np.ones((1, 4), np.float32)}, artifact.signature)
    with pytest.raises(InputError, match=f"nothing for scheme {scheme} to quantize\nit wants"):
        quantize(artifact, SCHEMES[scheme], data, tmp_path / "q.onnx")


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    folder = tmp_path_factory.mktemp("convolutional")
    model = source.load("zoo:cnn,size=8,filters=4")
    TorchScript().export(model, folder / "raw.onnx", opset=20)
    provenance = Provenance(source="tests", stages=("exported",))
    return normalize(folder / "raw.onnx", folder / "m.onnx", model.signature, provenance)


@pytest.fixture(scope="module")
def images(convolutional: OnnxArtifact) -> Data:
    """Dark images for the calibration, and eight bright ones after those."""
    rng = np.random.default_rng(0)
    pixels = rng.random((CALIBRATION_ROWS + 8, 1, 8, 8), np.float32)
    pixels[:CALIBRATION_ROWS] *= np.float32(BRIGHTEST) / pixels[:CALIBRATION_ROWS].max()
    return from_arrays({"pixels": pixels}, convolutional.signature)


def quantized(artifact: OnnxArtifact, scheme: str, data: Data, *, bits: int) -> OnnxArtifact:
    """As on a processor that saturates where it is for 7 bits, whatever this one is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "saturates", lambda: bits == 7)
        return quantize(artifact, SCHEMES[scheme], data, artifact.path.with_name(f"{scheme}.onnx"))


@pytest.fixture(scope="module")
def static(convolutional: OnnxArtifact, images: Data) -> OnnxArtifact:
    return quantized(convolutional, "static", images, bits=7)


def product(folder: Path, weights: np.ndarray) -> tuple[OnnxArtifact, Data]:
    """One matrix product, and ones to calibrate it on."""
    artifact = saved(
        folder / "m.onnx",
        "(float[n, 16] x) => (float[n, 4] y) { y = MatMul(x, w) }",
        f"x: float32[n, 16]; {ROWS}; -> y: float32[n, 4]",
        w=weights,
    )
    return artifact, from_arrays({"x": np.ones((32, 16), np.float32)}, artifact.signature)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[OnnxArtifact, Data]:
    weights = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    return product(tmp_path_factory.mktemp("linear"), weights)


@pytest.fixture(scope="module")
def dynamic(linear: tuple[OnnxArtifact, Data]) -> OnnxArtifact:
    return quantized(linear[0], "dynamic", linear[1], bits=7)


def ran(artifact: OnnxArtifact, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(artifact.path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {artifact.inputs[0].name: x})[0])


def sqnr(exact: np.ndarray, rounded: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - rounded).sum()))


def test_static_weights_are_signed_bytes_with_a_scale_a_channel(static: OnnxArtifact) -> None:
    weights = read_weights(static)
    assert weights["conv.weight_quantized"].dtype == np.int8
    assert weights["conv.weight_scale"].shape == (4,)


def test_static_activations_are_unsigned_bytes(static: OnnxArtifact) -> None:
    model = onnx.load(str(static.path))
    zeros = {n.input[2] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    found = {t.data_type for t in model.graph.initializer if t.name in zeros}
    assert found == {TensorProto.UINT8}


def test_static_ranges_are_those_of_the_first_rows_of_the_data(static: OnnxArtifact) -> None:
    assert read_weights(static)["pixels_scale"] == pytest.approx(BRIGHTEST / 255)


def test_static_answers_stay(convolutional: OnnxArtifact, static: OnnxArtifact) -> None:
    pixels = np.random.default_rng(1).random((4, 1, 8, 8), np.float32) * np.float32(BRIGHTEST)
    assert sqnr(ran(convolutional, pixels), ran(static, pixels)) > 20


def test_the_signature_stays(convolutional: OnnxArtifact, static: OnnxArtifact) -> None:
    assert static.signature == convolutional.signature


def test_the_provenance_says_that_values_were_rounded_and_where(static: OnnxArtifact) -> None:
    assert static.provenance.lossy
    stage = f"int8 static with 7-bit weights on {cpu.describe()}"
    assert static.provenance.stages == ("exported", stage)


def test_only_opsets_in_use_are_imported(static: OnnxArtifact) -> None:
    assert [o.domain for o in onnx.load(str(static.path)).opset_import] == [""]


def test_nothing_is_left_beside_the_file(static: OnnxArtifact) -> None:
    assert sorted(p.name for p in static.path.parent.iterdir()) == [
        "m.onnx",
        "raw.onnx",
        "static.onnx",
    ]


def largest(artifact: OnnxArtifact, weights: str) -> int:
    return int(np.abs(read_weights(artifact)[weights].astype(int)).max())


def test_static_weights_have_seven_bits_where_the_processor_saturates(static: OnnxArtifact) -> None:
    assert largest(static, "conv.weight_quantized") == 64


def test_dynamic_weights_have_seven_bits_where_the_processor_saturates(
    dynamic: OnnxArtifact,
) -> None:
    assert largest(dynamic, "w_quantized") == 64


def test_weights_have_eight_bits_where_it_does_not(linear: tuple[OnnxArtifact, Data]) -> None:
    done = quantized(linear[0], "static-products", linear[1], bits=8)
    assert largest(done, "w_quantized") == 127


@pytest.mark.parametrize("scheme", ["static-products", "dynamic"])
def test_large_sums_are_right_on_this_processor(tmp_path: Path, scheme: str) -> None:
    """Two products of the largest bytes do not fit into 16 bits."""
    artifact, data = product(tmp_path, np.ones((16, 4), np.float32))
    done = quantize(artifact, SCHEMES[scheme], data, tmp_path / "q.onnx")
    np.testing.assert_allclose(ran(done, np.ones((32, 16), np.float32)), 16, rtol=0.02)


def test_dynamic_finds_its_ranges_at_each_run(
    linear: tuple[OnnxArtifact, Data], dynamic: OnnxArtifact
) -> None:
    """The data is all ones: these ranges do not come from there."""
    x = 1000 * np.random.default_rng(1).standard_normal((32, 16)).astype(np.float32)
    assert sqnr(ran(linear[0], x), ran(dynamic, x)) > 20


def test_dynamic_quantizes_an_lstm(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    artifact = saved(
        tmp_path / "m.onnx",
        GRAPHS["LSTM"],
        "x: float32[t, 1, 4]; where t = 1..8; -> y: float32[t, 1, 1, 2]",
        w=rng.standard_normal((1, 8, 4)).astype(np.float32),
        r=rng.standard_normal((1, 8, 2)).astype(np.float32),
    )
    x = rng.standard_normal((8, 1, 4)).astype(np.float32)
    data = from_arrays({"x": x}, artifact.signature)
    done = quantize(artifact, SCHEMES["dynamic"], data, tmp_path / "q.onnx")
    assert sqnr(ran(artifact, x), ran(done, x)) > 20
