"""What a file says otherwise than its original is suspected, and proven by what undoes it."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, parser

from toolkit.optimize.naming import path
from toolkit.parity.mending import FEW, errors, exceeds, is_mended, of_operators, of_weights
from toolkit.parity.operators import Told, Value, nodes

EXACT, TANH = (Told("", "gelu", "approximate", kind) for kind in ("none", "tanh"))


def graph(*lines: str) -> ModelProto:
    body = "\n".join(lines)
    text = f"""<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        main (float[n] x) => (float[n] y) {{ {body} }}"""
    return parser.parse_model(text)


def noted(node: NodeProto, module: str) -> NodeProto:
    """With the path of its module, as torch's exporter notes it."""
    node.name = f"{module}/{node.op_type}"
    entry = node.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", str(["", module, "op"])
    return node


def suspected(model: ModelProto, *told: Told) -> list[str]:
    return [mend.flaw.told for mend in of_operators(model, told, path)]


@pytest.mark.parametrize(
    ("line", "told", "expected"),
    [
        ('Gelu <approximate = "tanh"> (x)', EXACT, "approximate 'tanh', expected 'none'"),
        ("Gelu (x)", TANH, "approximate 'none', expected 'tanh'"),
        (
            "LeakyRelu <alpha = 0.25> (x)",
            Told("a", "leaky_relu", "negative_slope", 0.2),
            "alpha 0.25, expected 0.2",
        ),
        (
            "LeakyRelu (x)",
            Told("", "leaky_relu", "negative_slope", 0.2),
            "alpha 0.01, expected 0.2",
        ),
        ("Elu <alpha = 1.1> (x)", Told("", "elu", "alpha", 1.0), "alpha 1.1, expected 1"),
        ("Celu <alpha = 1.1> (x)", Told("", "celu", "alpha", 1.0), "alpha 1.1, expected 1"),
        (
            "HardSigmoid (x)",
            Told("", "hardswish", str(1 / 6), 1 / 6),
            "alpha 0.2, expected 0.166667",
        ),
        (
            "LayerNormalization <epsilon = 1e-11> (x, x)",
            Told("", "native_layer_norm", "eps", 1e-12),
            "epsilon 1e-11, expected 1e-12",
        ),
    ],
)
def test_a_value_that_the_original_never_says_is_suspected(
    line: str, told: Told, expected: str
) -> None:
    (problem,) = suspected(graph(f"y = {line}"), told)
    assert problem.endswith(expected)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Gelu (x)", EXACT),
        ('Gelu <approximate = "tanh"> (x)', TANH),
        ("LeakyRelu <alpha = 0.2> (x)", Told("", "leaky_relu", "negative_slope", 0.2)),
        ("Erf (x)", EXACT),
        ("com.microsoft.Gelu (x)", TANH),
        ("com.microsoft.FastGelu (x)", EXACT),
        ("Elu <alpha = 1.5> (x)", EXACT),
    ],
    ids=["the default", "as told", "a float32", "decomposed", "fused", "fused fast", "not heard"],
)
def test_the_same_value_or_another_operator_is_not(line: str, told: Told) -> None:
    assert suspected(graph(f"y = {line}"), told) == []


def both(*modules: str) -> ModelProto:
    model = graph('a = Gelu <approximate = "tanh"> (x)', "y = Gelu (a)")
    for node, module in zip(model.graph.node, modules, strict=False):
        noted(node, module)
    return model


def test_where_the_original_says_both_modules_are_compared() -> None:
    told = [EXACT._replace(module="first"), TANH._replace(module="second")]
    assert suspected(both("second", "first"), *told) == []
    assert suspected(both(), *told) == []
    assert suspected(both("elsewhere", "first"), *told) == []
    one, other = suspected(both("first", "second"), *told)
    assert one == "node 'first/Gelu' (Gelu) has approximate 'tanh', expected 'none'"
    assert other == "node 'second/Gelu' (Gelu) has approximate 'none', expected 'tanh'"


def test_nodes_that_say_the_same_are_mended_together() -> None:
    model = graph('a = Gelu <approximate = "tanh"> (x)', 'y = Gelu <approximate = "tanh"> (a)')
    (mend,) = of_operators(model, [EXACT], path)
    mend.apply(model)
    assert suspected(model, EXACT) == []


def test_nodes_of_subgraphs_and_functions_are_compared() -> None:
    model = graph(
        "c = Constant <value = bool {1}> ()",
        "y = If (c) <"
        ' then_branch = yes () => (float[n] a) { a = Gelu <approximate = "tanh"> (x) },'
        " else_branch = no () => (float[n] b) { b = Gelu (x) }>",
    )
    assert len(suspected(model, EXACT)) == 1
    function = parser.parse_function(
        '<domain: "own", opset_import: ["" : 20]> f <kind> (x) => (y)'
        ' { a = Gelu <approximate = "tanh"> (x) y = Gelu <approximate: string = @kind> (a) }'
    )
    model = graph("y = Neg (x)")
    model.functions.append(function)
    assert len(list(nodes(model))) == 2
    (mend,) = of_operators(model, [EXACT], path)
    mend.apply(model)
    first, second = (n.attribute[0] for n in model.functions[0].node)
    assert (first.s, second.ref_attr_name) == (b"none", "kind")


def one(value: Value) -> Told:
    return Told("", "leaky_relu", "negative_slope", value)


def test_each_value_of_the_original_is_tried_in_turn() -> None:
    model = graph("y = LeakyRelu <alpha = 0.5> (x)")
    assert len(suspected(model, one(0.1), one(0.2))) == 2
    assert len(suspected(model, *(one(n / 32) for n in range(10)))) == FEW


W = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def test_a_weight_that_is_another_is_put_back_as_it_is_stored() -> None:
    model = onnx.ModelProto()
    found = {"w.T": (W * np.float32(1.001)).T, "v": W[0] * 2}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(a), n) for n, a in found.items()
    )
    first, second, together = of_weights({"w": W, "v": W[0]}, found)
    assert [m.flaw.at for m in (first, second, together)] == ["v", "w.T", "v"]
    assert first.flaw.told.startswith("weight 'v' differs from the original's in 6 of 6 elements")
    said = second.flaw.told
    assert said.startswith("weight 'w' differs from the original's in 24 of 24 elements")
    second.apply(model)
    stored = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
    np.testing.assert_array_equal(stored[0], W.T)
    np.testing.assert_array_equal(stored[1], W[0] * 2)
    together.apply(model)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[1]), W[0])


def test_a_few_ulps_other_types_and_many_weights_are_no_suspicion() -> None:
    assert of_weights({"w": W}, {"w": W * np.float32(1 + 2e-6)}) == []
    assert len(of_weights({"w": W}, {"w": W * np.float32(1 + 5e-6)})) == 1
    assert of_weights({"w": np.arange(3)}, {"w": np.arange(1, 4)}) == []
    many = {f"w{n}": W + n for n in range(FEW + 1)}
    assert of_weights(many, {name: w * 2 for name, w in many.items()}) == []


def test_errors_are_relative_to_the_largest_value() -> None:
    truth = {"a": np.array([-4.0, 1.0]), "b": np.array([1, 2]), "c": np.array([np.inf, 2.0])}
    got = {"a": np.array([-4.0, 1.5]), "b": np.array([1, 3]), "c": np.array([np.inf, 2.0])}
    assert errors(truth, got) == {"a": 0.125, "b": 1.0, "c": 0.0}
    assert errors(truth, {"a": np.zeros(3), "c": np.array([1.0, 2.0])}) == {
        "a": np.inf,
        "c": np.inf,
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((1e-7, 0.0), (1e-16, 0.0), True),
        ((1e-7, 1e-7), (1e-16, 1e-7), True),
        ((1e-7, 0.0), (2e-8, 0.0), False),  # nearer, but not by far
        ((1e-8, 0.0), (1e-3, 0.0), False),  # a fold undone
        ((1e-7, 1e-9), (1e-16, 1e-3), False),  # another output pays for it
        ((1e-15, 0.0), (0.0, 0.0), False),  # both are right
    ],
)
def test_a_file_is_mended_where_it_is_far_nearer_than_before(
    before: tuple[float, float], after: tuple[float, float], expected: bool
) -> None:
    named = (dict(zip("ab", errors_, strict=True)) for errors_ in (before, after))
    assert is_mended(*named) is expected


@pytest.mark.parametrize(
    ("found", "own", "expected"),
    [
        (3e-4, 2e-7, True),  # the file alone rounds to half
        (2e-7, 2e-7, True),  # it does, where it hardly matters
        (3e-4, 2e-4, False),  # so does the original
        (3e-3, 2e-4, True),  # the file does so in more places
        (1e-13, 0.0, False),
    ],
)
def test_a_cast_is_no_fault_where_the_original_rounds_as_coarsely(
    found: float, own: float, expected: bool
) -> None:
    assert exceeds({"y": found}, {"y": own}) is expected
