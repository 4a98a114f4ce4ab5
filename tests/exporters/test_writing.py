"""Of torch's ONNX program, tied weights are written once, under their names, beside the file."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from exporters.dynamo import Dynamo
from exporters.writing import name_transposed, share
from tests import models
from toolkit import external, source
from toolkit.artifact import read_graph

WORDS, WIDE = 200, 64  # above the size up to which the optimizer folds whatever it meets


class Tied(nn.Module):
    """The output's matrix is the embedding's; two layers are equal, and one is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDE)
        self.one, self.two = nn.Linear(WIDE, 2 * WIDE), nn.Linear(WIDE, 2 * WIDE)
        self.back = nn.Linear(2 * WIDE, WIDE)
        self.two.load_state_dict(self.one.state_dict())
        self.out = nn.Linear(WIDE, WORDS, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.embedding(ids)
        hidden = self.back(self.one(hidden).relu())
        hidden = self.back(self.two(hidden).relu())
        scores: Tensor = self.out(hidden)
        return scores


CONTRACT = f"ids: int64[batch, tokens] in 0..{WORDS - 1}; where batch = 1..4, tokens = 1..8"


@pytest.fixture(scope="module")
def tied() -> nn.Module:
    torch.manual_seed(0)
    return Tied().eval()


@pytest.fixture(scope="module")
def path(tied: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tied") / "m.onnx"
    Dynamo().export(source.load((tied, CONTRACT)), path, opset=20)
    return path


def large(path: Path) -> dict[str, np.ndarray]:
    return {
        n: a for n, a in external.Weights(read_graph(path), path.parent).items() if a.size > 500
    }


def test_tied_and_equal_matrices_are_one(path: Path) -> None:
    assert sorted(a.shape for a in large(path).values()) == [
        (WIDE, 2 * WIDE),
        (2 * WIDE, WIDE),
        (WORDS, WIDE),
    ]


def test_a_matrix_that_is_stored_transposed_is_named_after_the_original(
    path: Path, tied: nn.Module
) -> None:
    state = {f"model.{name}": tensor.numpy() for name, tensor in tied.state_dict().items()}
    for name, array in large(path).items():
        expected = state[name.removesuffix(".T")]
        np.testing.assert_array_equal(array, expected.T if name.endswith(".T") else expected)


def test_weights_lie_in_one_file_beside_the_model(path: Path) -> None:
    proto = read_graph(path)
    assert external.files(proto) == ("m.onnx.data",)
    assert all(t.external_data or external.size(t) < 2048 for t in proto.graph.initializer)


def test_the_file_computes_what_the_module_does(path: Path, tied: nn.Module) -> None:
    ids = torch.arange(15).reshape(3, 5)
    (found,) = ort.InferenceSession(str(path)).run(None, {"ids": ids.numpy()})
    np.testing.assert_allclose(found, tied(ids).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_model_of_small_weights_is_one_file(tmp_path: Path) -> None:
    Dynamo().export(source.load(models.linear()), tmp_path / "m.onnx", opset=20)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def graph(text: str, **weights: np.ndarray) -> ir.Graph:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> g {text}')
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return ir.from_proto(model).graph


MATRIX = np.random.default_rng(0).random((20, 30), np.float32)
SUM = "(float[20, 30] x) => (float[20, 30] y) { h = Add(x, a) y = Add(h, b) }"


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (MATRIX.copy(), 1),
        (MATRIX + np.eye(20, 30, dtype=np.float32), 2),
        (MATRIX.astype(np.float64), 2),
        (np.where(MATRIX[7, 7] == MATRIX, -MATRIX, MATRIX), 2),
    ],
    ids=["equal", "other values", "another type", "one element"],
)
def test_only_equal_weights_are_shared(other: np.ndarray, count: int) -> None:
    found = graph(SUM, a=MATRIX, b=other)
    share(found)
    assert len(found.initializers) == count


def test_zeros_of_either_sign_are_not_equal() -> None:
    found = graph(SUM, a=np.zeros((20, 30), np.float32), b=-np.zeros((20, 30), np.float32))
    share(found)
    assert len(found.initializers) == 2


def test_a_transpose_of_a_weight_is_computed_from_it() -> None:
    text = "(float[20, 20] x) => (float[20, 20] y) { h = MatMul(x, a) y = MatMul(h, b) }"
    found = graph(text, a=MATRIX, b=np.ascontiguousarray(MATRIX.T))
    share(found)
    assert list(found.initializers) == ["a"]
    assert [n.op_type for n in found] == ["Transpose", "MatMul", "MatMul"]


def test_transposes_of_one_weight_become_one() -> None:
    text = """(float[2, 30] x) => (float[2, 20] y) {
        s = Transpose<perm = [1, 0]>(w) t = Transpose(w)
        h = MatMul(x, s) i = MatMul(x, t) y = Add(h, i)
    }"""
    found = graph(text, w=MATRIX)
    name_transposed(found)
    assert [n.op_type for n in found] == ["Transpose", "MatMul", "MatMul", "Add"]
    assert found[0].outputs[0].name == "w.T"


def test_other_orders_of_axes_and_transposes_of_values_keep_their_names() -> None:
    text = """(float[2, 3, 4] x) => (float[4, 3, 2] y) {
        s = Transpose<perm = [2, 1, 0]>(w) t = Transpose(x) y = Add(s, t)
    }"""
    found = graph(text, w=np.zeros((2, 3, 4), np.float32))
    name_transposed(found)
    assert [n.outputs[0].name for n in found] == ["s", "t", "y"]


class Clamps(nn.Module):
    """One tensor between different limits, which are tensors."""

    def __init__(self) -> None:
        super().__init__()
        for n in range(3):
            self.register_buffer(f"low_{n}", torch.tensor(-0.5 - n))
            self.register_buffer(f"high_{n}", torch.tensor(0.5 + n))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = x * 2
        limits = [(getattr(self, f"low_{n}"), getattr(self, f"high_{n}")) for n in range(3)]
        return tuple(torch.clamp(x, low, high) for low, high in limits)


def test_limits_of_one_tensor_are_told_apart(tmp_path: Path) -> None:
    module = Clamps().eval()
    Dynamo().export(
        source.load((module, "x: float32[n]; where n = 2..9")), tmp_path / "m.onnx", opset=20
    )
    x = torch.linspace(-4, 4, 9)
    found = ort.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"x": x.numpy()})
    for one, other in zip(found, module(x), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


class Near(nn.Module):
    """Adds and multiplies by numbers that are nearly 0 and 1."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-9), x * 1.000005


def test_what_is_nearly_nothing_is_not_left_out(tmp_path: Path) -> None:
    model = source.load((Near(), "x: float32[rows, 4]; where rows = 1..4"))
    Dynamo().export(model, tmp_path / "m.onnx", opset=20)
    session = ort.InferenceSession(tmp_path / "m.onnx")
    normed, _ = session.run(None, {"x": np.zeros((1, 4), np.float32)})
    assert not normed.any()  # without epsilon 0 times infinity
    _, moved = session.run(None, {"x": np.ones((1, 4), np.float32)})
    assert (moved > 1).all()
