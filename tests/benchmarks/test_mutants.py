"""What benchmarks/mutation.py is made of: changes that change something, rewrites that do not."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.mutants import kinds, mutants
from benchmarks.mutants.right import REWRITES, rewritten

X = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> ModelProto:
    """softmax(layer_norm(x @ w + b)) - x."""
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.normal(size=(8, 8)),
        "b": rng.normal(size=8),
        "scale": rng.normal(size=8),
        "shift": rng.normal(size=8),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="product"),
        helper.make_node("Add", ["product", "b"], ["sum"], name="sum"),
        helper.make_node(
            "LayerNormalization", ["sum", "scale", "shift"], ["norm"], name="norm", epsilon=1e-3
        ),
        helper.make_node("Softmax", ["norm"], ["soft"], name="soft", axis=-1),
        helper.make_node("Sub", ["soft", "x"], ["y"], name="difference"),
    ]
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 8]) for n in ("x", "y")]
    arrays = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, "g", [sides[0]], [sides[1]], arrays)
    opsets = [helper.make_opsetid("", 20)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def run(model: ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": X})[0]
    return found


@pytest.mark.parametrize(
    "kind",
    [
        *("a weight moved by 1 %", "a weight of the other sign", "two rows swapped"),
        *("a square weight transposed", "a bias dropped", "a weight through float16"),
        *("a head zeroed", "another axis", "epsilon a thousand times"),
        *("another function", "a value through float16"),
    ],
)
def test_a_mutant_computes_something_else(kind: str, model: ModelProto) -> None:
    found = list(mutants(model, kinds()[kind], np.random.default_rng(0), 1))
    assert found
    assert not np.array_equal(run(found[0].model), run(model))


def test_the_original_is_left_as_it_was(model: ModelProto) -> None:
    before = model.SerializeToString()
    for kind in kinds().values():
        list(mutants(model, kind, np.random.default_rng(0), 2))
    assert model.SerializeToString() == before


@pytest.mark.parametrize("name", [n for n in REWRITES if n not in ("onnxslim", "opset 19")])
def test_a_right_rewrite_computes_the_same(name: str, model: ModelProto) -> None:
    found = rewritten(model, name)
    assert found is not None
    np.testing.assert_allclose(run(found), run(model), rtol=0, atol=1e-5)
