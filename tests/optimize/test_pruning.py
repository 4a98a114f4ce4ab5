"""What leads to no output goes, in branches too; inputs stay."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, parser
from onnx.reference import ReferenceEvaluator

from tests.graphs import parsed
from toolkit.optimize.pruning import inlined, prune
from toolkit.proto import graphs

CLUTTERED = """
    (float[n] x, float[n] spare) => (float[n] y) <float used = {1}, float lost = {2}> {
        a = Mul(x, used)
        b = Mul(spare, lost)
        c = Exp(b)
        y = Relu(a)
    }
"""
BRANCHED = """
    (float[n] x, bool c) => (float[n] y) <float taken = {1}, float lost = {2}> {
        a = Mul(x, taken)
        b = Exp(x)
        d = Log(x)
        y = If(c) <
            then_branch = t () => (float[n] p) { p = Add(a, taken) u = Mul(d, lost) },
            else_branch = e () => (float[n] q) { q = Sub(b, taken) }
        >
    }
"""


def pruned(text: str, domains: str = "") -> ModelProto:
    model = parsed(text, domains=domains)
    prune(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_nodes_and_weights_without_effect_go() -> None:
    graph = pruned(CLUTTERED).graph
    assert [n.op_type for n in graph.node] == ["Mul", "Relu"]
    assert [t.name for t in graph.initializer] == ["used"]


def test_inputs_that_nothing_uses_stay() -> None:
    assert [v.name for v in pruned(CLUTTERED).graph.input] == ["x", "spare"]


def test_what_only_a_branch_uses_stays() -> None:
    graph = pruned(BRANCHED).graph
    assert [n.op_type for n in graph.node] == ["Mul", "Exp", "If"]
    assert [t.name for t in graph.initializer] == ["taken"]


def test_nodes_without_effect_go_from_a_branch() -> None:
    assert [[n.op_type for n in g.node] for g in graphs(pruned(BRANCHED).graph)[1:]] == [
        ["Add"],
        ["Sub"],
    ]


def test_a_node_stays_for_any_of_its_outputs() -> None:
    text = "(float[4] x) => (float[2] y) { a, b = Split<num_outputs = 2>(x) y = Relu(b) }"
    assert [n.op_type for n in pruned(text).graph.node] == ["Split", "Relu"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("(float[4] x) => (float[4] y) { y = Relu(x) }", {""}),
        ("(float[4] x) => (float[4] y) { z = com.microsoft.Gelu(x) y = Relu(x) }", {""}),
    ],
    ids=["unused", "used by what goes"],
)
def test_opsets_without_a_node_go(text: str, kept: set[str]) -> None:
    model = pruned(text, domains='"com.microsoft" : 1')
    assert {o.domain for o in model.opset_import} == kept


def test_functions_are_inlined_and_their_domain_goes() -> None:
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20, "own" : 1]>
        g (float[n] x) => (float[n] y) { h = own.twice(x) y = own.twice(h) }
        <domain: "own", opset_import: ["" : 20]>
        twice (a) => (b) { two = Constant<value: tensor = float {2}>() b = Mul(a, two) }
    """)
    model = inlined(model)
    prune(model)
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert {o.domain for o in model.opset_import} == {""}
    (y,) = ReferenceEvaluator(model).run(None, {"x": np.ones(3, np.float32)})
    np.testing.assert_array_equal(y, 4 * np.ones(3))
