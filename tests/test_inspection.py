"""What an ONNX file tells about itself, without a runtime."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests import graphs
from toolkit import artifact
from toolkit.errors import InputError
from toolkit.inspection import inspect

TEXT = """(float[n, 4] x, bool c) => (float[n, 4] y) {
    h = MatMul(x, w)
    s = Sigmoid(h)
    y = If(c) <
        then_branch = g1 () => (float[n, 4] t) { t = Sigmoid(s) },
        else_branch = g2 () => (float[n, 4] e) { u = Sigmoid(s) e = Relu(u) }
    >
}"""
CONTRACT = "x: float32[n, 4]; c: bool[]; where n = 1..8"
WEIGHT = np.random.default_rng(0).random((4, 4), np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    graphs.saved(tmp_path / "m.onnx", TEXT, CONTRACT, w=WEIGHT)
    return tmp_path / "m.onnx"


def test_operators_are_counted_within_branches_too_the_most_frequent_first(path: Path) -> None:
    found = inspect(path).operators
    assert found == {"Sigmoid": 3, "MatMul": 1, "If": 1, "Relu": 1}
    assert next(iter(found)) == "Sigmoid"


def test_operators_of_other_domains_have_their_domain_in_front(tmp_path: Path) -> None:
    text = "(float[4] x) => (float[4] y) { y = com.microsoft.Gelu(x) }"
    proto = graphs.parsed(text, domains='"com.microsoft" : 1')
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    found = inspect(tmp_path / "m.onnx")
    assert found.operators == {"com.microsoft::Gelu": 1}
    assert found.opsets == {"ai.onnx": 20, "com.microsoft": 1}


def test_parameters_and_bytes_are_counted(path: Path) -> None:
    found = inspect(path)
    assert (found.parameters, found.bytes) == (16, path.stat().st_size)


def test_weights_beside_the_file_count_as_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "EXTERNAL_ABOVE", 100)
    text = "(float[n, 64] x) => (float[n, 64] y) { y = MatMul(x, w) }"
    contract = "x: float32[n, 64]; where n = 1..8"
    graphs.saved(tmp_path / "m.onnx", text, contract, w=np.ones((64, 64), np.float32))
    found = inspect(tmp_path / "m.onnx")
    assert found.parameters == 64 * 64
    assert found.bytes == sum(p.stat().st_size for p in tmp_path.iterdir())


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    proto = graphs.parsed("(float[4] x) => (float[4] y) { y = Add(x, w) }", w=WEIGHT[0])
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "lost.bin")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match=r"lost\.bin"):
        inspect(tmp_path / "m.onnx")


def test_a_file_of_ours_shows_its_signature_and_a_foreign_one_that_it_is_assumed(
    path: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(graphs.parsed(TEXT, w=WEIGHT).SerializeToString())
    assert [inspect(p).artifact.assumed for p in (path, foreign)] == [False, True]


def test_the_account_is_plain_json(path: Path) -> None:
    account = json.loads(json.dumps(inspect(path).to_dict()))
    assert account["signature"] == [
        "x: float32[n, 4]",
        "c: bool[]",
        "where n = 1..8",
    ]
    assert account["operators"]["Sigmoid"] == 3


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="cannot be read as ONNX"):
        inspect(tmp_path / "notes.txt")


def test_the_model_of_a_bundle_is_found_in_its_folder(path: Path) -> None:
    path.rename(path.parent / artifact.BUNDLED)
    assert inspect(path.parent).artifact.path.name == artifact.BUNDLED


def test_another_folder_is_no_bundle(path: Path) -> None:
    with pytest.raises(InputError, match="is not a bundle"):
        inspect(path.parent)
