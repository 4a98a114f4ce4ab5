"""Simplification: what it gains, when it is undone, and what its child process may not exceed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.graphs import parsed, saved
from toolkit.artifact import OnnxArtifact, Provenance, save
from toolkit.errors import StageCrashed
from toolkit.optimize.simplify import Simplified, operators, simplify
from toolkit.signature import Signature

SIGNATURE = "x: float32[n, 4]; where n = 1..8; -> y: float32[n, 4]"
CLUTTERED = """
    (float[n, 4] x) => (float[n, 4] y) {
        a = Identity(x)
        two = Constant<value: tensor = float {2}>()
        four = Add(two, two)
        b = Identity(a)
        unused = Exp(b)
        y = Mul(b, four)
    }
"""
PLAIN = "(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }"


@pytest.fixture(scope="module")
def cluttered(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    """y = 4 x, said in six nodes; the product knows which module it came from."""
    model = parsed(CLUTTERED)
    next(n for n in model.graph.node if n.op_type == "Mul").metadata_props.add(
        key="namespace", value="encoder/scale"
    )
    path = tmp_path_factory.mktemp("cluttered") / "m.onnx"
    return save(model, path, Signature.parse(SIGNATURE), Provenance(stages=("exported",)))


@pytest.fixture(scope="module")
def simplified(cluttered: OnnxArtifact) -> Simplified:
    return simplify(cluttered, cluttered.path.with_name("s.onnx"))


def ran(artifact: OnnxArtifact, x: np.ndarray) -> np.ndarray:
    (y,) = ort.InferenceSession(str(artifact.path)).run(None, {"x": x})
    return np.asarray(y)


def test_nodes_without_effect_go(simplified: Simplified) -> None:
    assert simplified.kept
    assert operators(simplified.artifact) == {"Mul": 1, "Constant": 1}


def test_the_remark_says_what_went(simplified: Simplified) -> None:
    assert simplified.remark == "6 -> 2 nodes (without 2 Identity, 1 Add, 1 Exp)"


def test_the_answers_stay(simplified: Simplified) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(ran(simplified.artifact, x), 4 * x)


def test_the_signature_stays_and_the_stage_is_noted(
    cluttered: OnnxArtifact, simplified: Simplified
) -> None:
    assert simplified.artifact.signature == cluttered.signature
    assert simplified.artifact.provenance.stages == ("exported", "simplified")


def test_nodes_that_stay_keep_their_module_paths(simplified: Simplified) -> None:
    nodes = onnx.load(str(simplified.artifact.path)).graph.node
    (product,) = (n for n in nodes if n.op_type == "Mul")
    assert [(p.key, p.value) for p in product.metadata_props] == [("namespace", "encoder/scale")]


def test_gives_the_input_back_where_there_is_nothing_to_gain(tmp_path: Path) -> None:
    artifact = saved(tmp_path / "m.onnx", PLAIN, SIGNATURE)
    done = simplify(artifact, tmp_path / "s.onnx")
    assert done == Simplified(artifact, False, "nothing to simplify (1 nodes)")


def test_does_not_write_out_large_constants(tmp_path: Path) -> None:
    """The first rows of 2,000,000 equal numbers, which take 8 MB where they are written out."""
    graph = """
        (float[n, 4] x) => (float[n, 4] y)
        <float one = {1}, int64[2] shape = {500000, 4}, int64[2] zeros = {0, 0}> {
            a = Identity(x)
            size = Shape(a)
            expanded = Expand(one, shape)
            b = Slice(expanded, zeros, size)
            filled = ConstantOfShape<value: tensor = float[1] {2}>(shape)
            c = Slice(filled, zeros, size)
            y = Sum(a, b, c)
        }
    """
    artifact = saved(tmp_path / "m.onnx", graph, SIGNATURE)
    done = simplify(artifact, tmp_path / "s.onnx")
    assert operators(artifact) - operators(done.artifact) == {"Identity": 1}
    assert done.artifact.size < artifact.size + 10_000


def test_a_tied_matrix_stays_one(tmp_path: Path) -> None:
    """onnxsim folds the transpose of any matrix."""
    graph = """
        (int64[n] ids) => (float[n, 40] y) {
            h = Gather(w, ids)
            a = Identity(h)
            t = Transpose<perm = [1, 0]>(w)
            y = MatMul(a, t)
        }
    """
    matrix = np.random.default_rng(0).random((40, 30), np.float32)
    signature = "ids: int64[n] in 0..39; where n = 1..8; -> y: float32[n, 40]"
    artifact = saved(tmp_path / "m.onnx", graph, signature, w=matrix)
    done = simplify(artifact, tmp_path / "s.onnx")
    assert done.kept
    assert operators(done.artifact) == {"Gather": 1, "Transpose": 1, "MatMul": 1}
    assert done.artifact.size < artifact.size + matrix.nbytes / 2


def test_is_undone_where_a_constant_is_written_out_all_the_same(tmp_path: Path) -> None:
    """onnxsim 0.8.1 folds a Range of any size."""
    graph = """
        (float[n, 4] x) => (float[n, 4] y)
        <float first = {0}, float end = {20000}, float step = {1}, int64[1] zero = {0}> {
            a = Identity(x)
            numbers = Range(first, end, step)
            batch = Shape<end: int = 1>(a)
            counts = Slice(numbers, zero, batch)
            sum = ReduceSum(counts)
            y = Add(a, sum)
        }
    """
    artifact = saved(tmp_path / "m.onnx", graph, SIGNATURE)
    done = simplify(artifact, tmp_path / "s.onnx")
    assert done.artifact is artifact
    assert "undone: folding made the constants grow" in done.remark


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"time_limit": 0.01}, r"the simplifier took longer than 0\.01 s\b.*\n.*--time-limit"),
        ({"memory_limit": 50 * 2**20}, r"the simplifier ran out of memory.*\n.*--memory-limit"),
    ],
    ids=["time", "memory"],
)
def test_the_child_that_exceeds_a_limit_is_ended(
    tmp_path: Path, limits: dict[str, Any], message: str
) -> None:
    artifact = saved(tmp_path / "m.onnx", PLAIN, SIGNATURE)
    with pytest.raises(StageCrashed, match=message):
        simplify(artifact, tmp_path / "s.onnx", **limits)
