"""onnx's evaluator: what the graph says, and what it says in float64."""

from math import erf
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from exporters.torchscript import TorchScript
from runtimes.pytorch import PyTorchFloat64
from runtimes.reference import Reference, ReferenceFloat64, widened
from tests import models
from tests.graphs import parsed, saved
from toolkit import examples, source
from toolkit.artifact import OnnxArtifact, Provenance
from toolkit.errors import InputError, MissingError, NotLoadable
from toolkit.model import LoadedModel
from toolkit.optimize.normalize import normalize

SIGNATURE = "x: float32[n]; where n = 1..8; -> y: float32[n]"
HEAD = "(float[n] x) => (float[n] y)"
THIRD = HEAD + "<float three = {3}> { y = Div(x, three) }"
THIRDS = {
    "weight": THIRD,
    "constant": HEAD + "{ t = Constant<value: tensor = float {3}>() y = Div(x, t) }",
    "constant number": HEAD + "{ t = Constant<value_float: float = 3.0>() y = Div(x, t) }",
    "constant numbers": HEAD + "{ t = Constant<value_floats: floats = [3.0]>() y = Div(x, t) }",
    "filled": HEAD
    + "{ s = Shape(x) t = ConstantOfShape<value: tensor = float[1] {3}>(s) y = Div(x, t) }",
    "cast": HEAD + "<float three = {3}> { h = Div(x, three) y = Cast<to: int = 1>(h) }",
    "half precision": HEAD
    + """<float16 three = {16896}> {
        a = Cast<to: int = 10>(x) c = Div(a, three) y = Cast<to: int = 1>(c)
    }""",
    "branch": HEAD
    + """<bool yes = {1}> {
        y = If(yes) <
            then_branch = t () => (float[n] a) {
                three = Constant<value: tensor = float {3}>() h = Div(x, three)
                a = Cast<to: int = 1>(h)
            },
            else_branch = e () => (float[n] b) { b = Identity(x) }
        >
    }""",
    "zeros": HEAD
    + """{
        none = ConstantOfShape (size) three = Constant<value: tensor = float {3}>()
        third = Div(x, three) y = Add(third, none)
    }""".replace("none = ", "size = Shape (x) none = "),
    "function": HEAD
    + """{ y = local.third(x) }
    <domain: "local", opset_import: ["" : 20]> third (x) => (y) {
        three = Constant<value: tensor = float {3}>() h = Div(x, three) y = Cast<to: int = 1>(h)
    }""",
}
ONE = np.ones(1, np.float32)


@pytest.mark.parametrize("kind", ["none", "tanh"])
def test_gelu_in_float64_has_no_constants_of_float32(tmp_path: Path, kind: str) -> None:
    graph = HEAD + f'{{ y = Gelu <approximate = "{kind}"> (x) }}'
    session = ReferenceFloat64().load(saved(tmp_path / "m.onnx", graph, SIGNATURE), "cpu")
    x = np.linspace(-3, 3, 8, dtype=np.float32)
    expected = functional.gelu(torch.from_numpy(x).double(), approximate=kind).numpy()
    np.testing.assert_allclose(session.run({"x": x})["y"], expected, rtol=0, atol=1e-15)


def test_erf_in_float64_is_not_rounded(tmp_path: Path) -> None:
    artifact = saved(tmp_path / "m.onnx", HEAD + "{ y = Erf(x) }", SIGNATURE)
    session = ReferenceFloat64().load(artifact, "cpu")
    x = np.linspace(-3, 3, 8, dtype=np.float32)
    expected = [erf(float(n)) for n in x]
    np.testing.assert_allclose(session.run({"x": x})["y"], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("shape", "weight", "attributes"),
    [
        ((2, 4, 9), (6, 2, 3), "group = 2, strides = [2], pads = [0, 2]"),
        ((1, 3, 8, 7), (5, 3, 3, 2), "dilations = [2, 1], pads = [1, 0, 2, 1], strides = [1, 2]"),
        ((2, 2, 5, 6, 4), (3, 2, 2, 3, 2), ""),
        ((1, 3, 8, 7), (5, 3, 3, 3), 'auto_pad = "SAME_UPPER"'),
    ],
)
def test_convolutions_are_those_of_onnx(
    tmp_path: Path, shape: tuple[int, ...], weight: tuple[int, ...], attributes: str
) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in (shape, weight, weight[:1]))
    given = [f"float{list(a.shape)} {n}" for n, a in (("x", x), ("w", w), ("b", b))]
    said = f"<{attributes}>" if attributes else ""
    graph = f"({', '.join(given)}) => (float[{', '.join('abcde'[: x.ndim])}] y)"
    _require_same(tmp_path, f"{graph} {{ y = Conv {said} (x, w, b) }}", {"x": x, "w": w, "b": b})


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grids_are_sampled_as_onnx_says(
    tmp_path: Path, mode: str, padding: str, corners: int
) -> None:
    rng = np.random.default_rng(0)
    x, grid = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 4, 5), (2, 3, 2, 2)))
    said = f'mode = "{mode}", padding_mode = "{padding}", align_corners = {corners}'
    graph = "(float[2, 3, 4, 5] x, float[2, 3, 2, 2] grid) => (float[2, 3, 3, 2] y)"
    graph += f"{{ y = GridSample <{said}> (x, grid) }}"
    _require_same(tmp_path, graph, {"x": x, "grid": grid})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_elements_are_gathered_along_any_axis(tmp_path: Path, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, shape = rng.normal(size=(70, 80, 3)).astype(np.float32), [65, 66, 2]
    index = rng.integers(-60 if axis == 0 else -3, 3, shape)
    said = f"(float[70, 80, 3] x, int64{shape} i) => (float{shape} y)"
    graph = f"{said} {{ y = GatherElements <axis = {axis}> (x, i) }}"
    path = saved(tmp_path / "m.onnx", graph, f"x: float32[70, 80, 3]; i: int64{shape} in -60..2")
    got = ReferenceFloat64().load(path, "cpu").run({"x": x, "i": index})["y"]
    sides = np.indices(shape)
    sides[axis] = index
    np.testing.assert_array_equal(got, x[tuple(sides)])


def _require_same(folder: Path, graph: str, feeds: dict[str, np.ndarray]) -> None:
    """In float64 what onnx's own operators give in float32, but for their rounding."""
    signature = "; ".join(f"{n}: float32{list(a.shape)}" for n, a in feeds.items())
    path = saved(folder / "m.onnx", graph, signature)
    ours, theirs = (r().load(path, "cpu").run(feeds)["y"] for r in (ReferenceFloat64, Reference))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("graph", THIRDS)
def test_float64_holds_all_through_the_graph(tmp_path: Path, graph: str) -> None:
    artifact = saved(tmp_path / "m.onnx", THIRDS[graph], SIGNATURE, domains='"local" : 1')
    assert ReferenceFloat64().load(artifact, "cpu").run({"x": ONE})["y"] == np.float64(1) / 3


def test_the_graph_runs_in_its_own_precision_otherwise(tmp_path: Path) -> None:
    artifact = saved(tmp_path / "m.onnx", THIRD, SIGNATURE)
    assert Reference().load(artifact, "cpu").run({"x": ONE})["y"] == ONE / 3


def test_integers_stay_what_they_are(tmp_path: Path) -> None:
    head = "(float[n] x) => (int64[n] y) <int64 two = {2}>"
    graph = head + "{ i = Cast<to: int = 7>(x) y = Mul(i, two) }"
    artifact = saved(tmp_path / "m.onnx", graph, "x: float32[n]; where n = 1..8; -> y: int64[n]")
    y = ReferenceFloat64().load(artifact, "cpu").run({"x": ONE})["y"]
    assert (str(y.dtype), int(y[0])) == ("int64", 2)


@pytest.mark.parametrize("kept", ["float32", "float16"])
def test_a_step_through_float16_rounds_but_in_a_file_of_float16(tmp_path: Path, kept: str) -> None:
    text = {"float32": "float one = {1}", "float16": "float16 half = {1}"}[kept]
    graph = (
        f"(float[n] x) => (float[n] y) <{text}>"
        "{ h = Cast<to: int = 10>(x) w = Cast<to: int = 1>(h) y = Identity(w) }"
    )
    x = np.float32(1) / 3 * ONE
    found = ReferenceFloat64().load(saved(tmp_path / "m.onnx", graph, SIGNATURE), "cpu")
    expected = x.astype(np.float16) if kept == "float32" else x
    np.testing.assert_array_equal(found.run({"x": x})["y"], expected.astype(np.float64))


def test_widening_leaves_the_model_as_it_is() -> None:
    model = parsed(THIRDS["branch"])
    before = model.SerializeToString(deterministic=True)
    widened(model)
    assert model.SerializeToString(deterministic=True) == before


@pytest.fixture(
    scope="module",
    params=[models.linear, models.tokens, models.recurrent],
    ids=lambda m: m.__name__,
)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedModel, OnnxArtifact]:
    """A model and its file. None has an epsilon: ONNX stores those in float32."""
    folder, model = tmp_path_factory.mktemp("exported"), source.load(request.param())
    TorchScript().export(model, folder / "raw.onnx", opset=20)
    artifact = normalize(folder / "raw.onnx", folder / "m.onnx", model.signature, Provenance())
    return model, artifact


def test_float64_is_what_pytorch_gives_in_float64(
    exported: tuple[LoadedModel, OnnxArtifact],
) -> None:
    model, artifact = exported
    sizes = examples.example_sizes(model.signature)
    feed = examples.feeds(model.signature, sizes, "uniform", np.random.default_rng(0))
    expected = PyTorchFloat64().load(model, "cpu").run(feed)
    found = ReferenceFloat64().load(artifact, "cpu").run(feed)
    assert found.keys() == expected.keys()
    assert max(np.abs(found[name] - expected[name]).max() for name in expected) < 1e-12


@pytest.mark.parametrize("runtime", [Reference, ReferenceFloat64])
def test_has_no_gpu(tmp_path: Path, runtime: type[Reference]) -> None:
    with pytest.raises(MissingError, match="devices that work here: cpu"):
        runtime().load(saved(tmp_path / "m.onnx", THIRD, SIGNATURE), "cuda")


def test_an_operator_that_it_lacks_is_named(tmp_path: Path) -> None:
    unknown = saved(tmp_path / "m.onnx", HEAD + "{ y = Unknown(x) }", SIGNATURE)
    with pytest.raises(NotLoadable, match=r"onnx\.reference: .*Unknown"):
        Reference().load(unknown, "cpu")


def test_a_feed_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    graph = "(float[n] x, float[n] z) => (float[n] y) { y = Add(x, z) }"
    signature = "x: float32[n]; z: float32[n]; where n = 1..8; -> y: float32[n]"
    session = Reference().load(saved(tmp_path / "m.onnx", graph, signature), "cpu")
    with pytest.raises(InputError, match=r"onnx\.reference: .*'Add'"):
        session.run({"x": np.ones(2, np.float32), "z": np.ones(3, np.float32)})


def test_refuses_a_module() -> None:
    with pytest.raises(InputError, match="'Linear' is not an ONNX file\nexport it first"):
        Reference().load(source.load(models.linear()), "cpu")


@pytest.mark.parametrize("runtime", [Reference, ReferenceFloat64])
def test_a_recurrent_node_with_lengths_is_refused(tmp_path: Path, runtime: type[Reference]) -> None:
    """onnx's evaluator would run every row to the end, and say nothing."""
    text = """(float[t, b, 2] x, int32[b] n) => (float[t, 1, b, 3] y) {
        y = RNN<hidden_size: int = 3>(x, w, r, , n)
    }"""
    artifact = saved(
        tmp_path / "m.onnx",
        text,
        "x: float32[t, b, 2]; n: int32[b] in 1..4; where t = 4..8, b = 1..4",
        w=np.ones((1, 3, 2), np.float32),
        r=np.ones((1, 3, 3), np.float32),
    )
    with pytest.raises(NotLoadable, match="ignores the sequence_lens of RNN"):
        runtime().load(artifact, "cpu")
