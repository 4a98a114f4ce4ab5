"""Readable names: after the module and the operator, unique, stable, and consistent."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto
from onnx.reference import ReferenceEvaluator

from tests.graphs import parsed
from toolkit.optimize.naming import SCOPES, path, rename
from toolkit.proto import graphs

CHAIN = """
    (float[n] x) => (float[n] y) <float "model.scale.w" = {3}, int64[1] val_7 = {0}> {
        val_1 = Mul(x, "model.scale.w")
        val_2 = Mul(val_1, "model.scale.w")
        val_3 = Unsqueeze(val_2, val_7)
        y = Squeeze(val_3, val_7)
    }
"""
BRANCHES = """
    (float[n] x, bool c) => (float[n] y) <float "model.w" = {2}, float one = {1}> {
        h = Mul(x, "model.w")
        y = If(c) <
            then_branch = t () => (float[n] r) { r = Add(h, one) },
            else_branch = e () => (float[n] r) {
                s = Sub(h, "model.w")
                r = If(c) <
                    then_branch = u () => (float[n] v) { v = Neg(s) },
                    else_branch = o () => (float[n] v) { v = Mul(s, h) }
                >
            }
        >
    }
"""
LOOP = """
    (float[n] x, int64 m) => (float[n] y, float[k, n] all) <float "model.w" = {2}> {
        go = Constant<value: tensor = bool {1}>()
        start = Mul(x, "model.w")
        y, all = Loop(m, go, start) <
            body = b (int64 i, bool on, float[n] state) => (bool same, float[n] next, float[n] out)
            <float[1] half = {0.5}> {
                same = Identity(on)
                t = Mul(state, half)
                next = Add(t, start)
                out = Sub(next, "model.w")
            }
        >
    }
"""
SCAN = """
    (float[k, n] x, float[n] s) => (float[n] y, float[k, n] all) <float "model.w" = {2}> {
        g = Mul(s, "model.w")
        y, all = Scan <
            num_scan_inputs = 1,
            body = b (float[n] state, float[n] row) => (float[n] next, float[n] out) {
                t = Mul(row, g)
                next = Add(state, t)
                out = Identity(next)
            }
        > (s, x)
    }
"""
X = np.arange(3, dtype=np.float32)
FEEDS = {
    BRANCHES: [{"x": X, "c": np.array(c)} for c in (True, False)],
    LOOP: [{"x": X, "m": np.array(4)}],
    SCAN: [{"x": X[None] * np.ones((5, 1), np.float32), "s": X}],
}


def renamed(text: str, scopes: dict[str, str] | None = None) -> ModelProto:
    """The graph with new names; `scopes` says for some outputs what torch notes of their node."""
    model = parsed(text)
    for node in (n for g in graphs(model.graph) for n in g.node):
        if noted := (scopes or {}).get(node.output[0]):
            node.metadata_props.add(key=SCOPES, value=noted)
    rename(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def nodes(model: ModelProto) -> list[str]:
    return [node.name for graph in graphs(model.graph) for node in graph.node]


def test_nodes_are_named_after_their_module_and_operator() -> None:
    scopes = {"val_1": "['', 'model', 'model.scale', 'mul']", "val_2": "['', 'model', 'mul_1']"}
    assert nodes(renamed(CHAIN, scopes)) == ["scale/Mul", "Mul", "Unsqueeze", "Squeeze"]


def test_a_second_node_of_a_name_gets_a_number() -> None:
    assert nodes(renamed(CHAIN))[:2] == ["Mul", "Mul_2"]


def test_values_are_named_after_their_node() -> None:
    assert [n.output[0] for n in renamed(CHAIN).graph.node] == ["Mul", "Mul_2", "Unsqueeze", "y"]


def test_further_outputs_of_a_node_are_numbered() -> None:
    text = "(float[4] x) => (float[2] y) { a, b = Split<num_outputs = 2>(x) y = Add(a, b) }"
    assert [*renamed(text).graph.node[0].output] == ["Split", "Split.1"]


def test_inputs_and_outputs_that_are_left_out_stay_so() -> None:
    model = parsed("(float[t, b, 4] x) => (float[1, b, 4] y) { y = Identity(x) }")
    model.graph.node.append(onnx.helper.make_node("LSTM", ["x", "", ""], ["", "last"]))
    rename(model)
    assert [*model.graph.node[-1].input] == ["x", "", ""]
    assert [*model.graph.node[-1].output] == ["", "LSTM.1"]


def test_inputs_and_outputs_keep_their_names() -> None:
    graph = renamed(BRANCHES).graph
    assert [v.name for v in (*graph.input, *graph.output)] == ["x", "c", "y"]


def test_weights_have_the_names_of_the_state_dict() -> None:
    assert renamed(CHAIN).graph.initializer[0].name == "scale.w"


def test_a_constant_that_nodes_share_is_named_by_its_value() -> None:
    assert renamed(CHAIN).graph.initializer[1].name == "constant/0"


def test_a_constant_of_one_node_is_named_after_the_input_that_it_is() -> None:
    text = "(float[n] x) => (float[1, n] y) <int64[1] val_7 = {0}> { y = Unsqueeze(x, val_7) }"
    assert renamed(text).graph.initializer[0].name == "Unsqueeze.axes"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("(float[n] Mul) => (float[n] y) { h = Mul(Mul, Mul) y = Relu(h) }", "Mul"),
        ("(float[n] x) => (float[n] Mul) { h = Mul(x, x) Mul = Relu(h) }", "Mul"),
        (
            "(float[n] x) => (float[n] y) { Mul = Relu(x) h = Mul(Mul, x) y = Exp(h) }",
            "Relu",
        ),
        (
            '(float[n] x) => (float[n] y) <float "model.Mul" = {1}> { y = Mul(x, "model.Mul") }',
            "Mul",
        ),
    ],
    ids=["an input", "an output", "a value", "a weight"],
)
def test_names_do_not_collide(text: str, kept: str) -> None:
    graph = renamed(text).graph
    defined = [v.name for v in (*graph.input, *graph.initializer)]
    defined += [name for node in graph.node for name in node.output]
    assert len({*defined}) == len(defined)
    assert kept in defined


@pytest.mark.parametrize("text", [BRANCHES, LOOP, SCAN], ids=["branches", "loop", "scan"])
def test_control_flow_computes_the_same(text: str) -> None:
    one, other = ReferenceEvaluator(parsed(text)), ReferenceEvaluator(renamed(text))
    for feeds in FEEDS[text]:
        for expected, found in zip(one.run(None, feeds), other.run(None, feeds), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("text", [BRANCHES, LOOP, SCAN], ids=["branches", "loop", "scan"])
def test_no_name_is_defined_twice_not_even_in_branches(text: str) -> None:
    model = renamed(text)
    defined = [n for g in graphs(model.graph) for node in g.node for n in node.output]
    defined += [v.name for g in graphs(model.graph) for v in (*g.input, *g.initializer)]
    assert len({*defined}) == len(defined)


def test_shapes_in_between_follow_their_values() -> None:
    text = "(float[n] x) => (float[n] y) <float[n] h> { h = Exp(x) y = Relu(h) }"
    assert [v.name for v in renamed(text).graph.value_info] == ["Exp"]


@pytest.mark.parametrize("text", [CHAIN, BRANCHES, LOOP, SCAN])
def test_the_same_graph_always_gets_the_same_names(text: str) -> None:
    assert renamed(text).SerializeToString(deterministic=True) == renamed(text).SerializeToString(
        deterministic=True
    )


def named(name: str) -> NodeProto:
    return onnx.helper.make_node("Add", ["x", "x"], ["y"], name=name)


def noted(scopes: str) -> NodeProto:
    node = named("node_add_3")
    node.metadata_props.add(key=SCOPES, value=scopes)
    return node


@pytest.mark.parametrize(
    ("make", "text", "expected"),
    [
        (noted, "['', 'model', 'model.encoder.layers.0', 'add']", "encoder.layers.0"),
        (noted, "['', 'model', 'add']", ""),
        (noted, "['', 'model', 'model.model', 'add']", "model"),
        (noted, "['', 'model', 'model.norm@2', 'add']", "norm"),
        (noted, "['_empty_nn_module_stack_from_metadata_hook', 'add']", ""),
        (noted, "nonsense", ""),
        (named, "/model/encoder/layers.0/Add", "encoder.layers.0"),
        (named, "/model/model/Add", "model"),
        (named, "/Add", ""),
        (named, "node_add_3", ""),
        (named, "", ""),
    ],
)
def test_the_module_is_read_from_what_each_exporter_notes(
    make: Callable[[str], NodeProto], text: str, expected: str
) -> None:
    assert path(make(text)) == expected
