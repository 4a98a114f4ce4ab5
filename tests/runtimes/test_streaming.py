"""A graph in float64 with its weights on disk: the numbers of the whole evaluation."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from runtimes.reference import ReferenceFloat64
from tests.graphs import parsed
from toolkit.artifact import OnnxArtifact, open_artifact
from toolkit.inference import intermediates
from toolkit.inference.intermediates import values

RNG = np.random.default_rng(0)
WEIGHTS = {
    "table": RNG.standard_normal((50, 40)).astype(np.float32),
    "w": RNG.standard_normal((40, 40)).astype(np.float16),
    "b": RNG.standard_normal(40).astype(np.float32),
    "rows": RNG.integers(0, 9, 200),
}
FLAT = """(int64[n, 3] ids, float[40] x) => (float[n, 3, 40] y, float[40] b, float[200] taken) {
    e = Gather(table, ids)
    v = Cast<to = 1>(w)
    h = MatMul(e, v)
    s = Add(h, b)
    g = Gelu(s)
    y = Mul(g, x)
    taken = Gather(x, rows)
}"""
FEEDS = {"ids": RNG.integers(0, 50, (2, 3)), "x": RNG.standard_normal(40).astype(np.float32)}


@pytest.fixture
def artifact(tmp_path: Path) -> OnnxArtifact:
    onnx.save(parsed(FLAT, **WEIGHTS), str(tmp_path / "m.onnx"))
    return open_artifact(tmp_path / "m.onnx")


def test_it_gives_what_the_whole_evaluation_gives(
    artifact: OnnxArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ReferenceFloat64().load(artifact, "cpu").run(FEEDS)
    monkeypatch.setattr("runtimes.streaming.STREAMED", 0)
    streamed = ReferenceFloat64().load(artifact, "cpu").run(FEEDS)
    assert [*streamed] == [*whole]
    for name, array in whole.items():
        assert streamed[name].dtype == np.float64
        np.testing.assert_array_equal(streamed[name], array)


def test_it_shows_each_value_as_it_is_made(artifact: OnnxArtifact) -> None:
    walk = ReferenceFloat64().walk(artifact, FEEDS)
    assert walk is not None
    found = dict(walk)
    assert [*found] == ["b", "e", "v", "h", "s", "g", "y", "taken"]
    np.testing.assert_array_equal(found["e"], WEIGHTS["table"][FEEDS["ids"]].astype(np.float64))


def test_walked_and_tapped_values_are_the_same(
    artifact: OnnxArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = FEEDS, str(artifact.path), str(artifact.signature), "reference-float64", "cpu", False
    shapes, walked = intermediates._values(*asked)
    monkeypatch.setattr(ReferenceFloat64, "walk", lambda *_: None)
    other, tapped = intermediates._values(*asked)
    assert shapes == other
    for name, elements in tapped.items():
        np.testing.assert_array_equal(walked[name], elements)


def test_a_graph_with_graphs_within_it_is_not_walked(tmp_path: Path) -> None:
    text = """(float[n] x, bool c) => (float[n] y) {
        y = If(c) <then_branch = t () => (float[n] a) { a = Neg(x) },
                   else_branch = f () => (float[n] a) { a = Abs(x) }>
    }"""
    onnx.save(parsed(text), str(tmp_path / "m.onnx"))
    artifact = open_artifact(tmp_path / "m.onnx")
    feeds = {"x": np.ones(3, np.float32), "c": np.array(True)}
    assert ReferenceFloat64().walk(artifact, feeds) is None
    assert "y" in values(artifact, feeds, runtime="reference-float64", timeout=60)
