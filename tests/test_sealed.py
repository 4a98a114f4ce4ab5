"""The seal: it answers for the very bytes that were checked, and for one model only."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests import graphs
from toolkit import artifact, sealed
from toolkit.artifact import OnnxArtifact, open_artifact

SIGNATURE = "x: float32[n, 4]; where n = 1..8"
WEIGHTS = np.arange(16, dtype=np.float32).reshape(4, 4)
FOUND = "holds on 128 cases (n all of 1..8), worst error 1.1x that of float32"


@pytest.fixture
def made(tmp_path: Path) -> OnnxArtifact:
    graph = "(float[n, 4] x) => (float[n, 4] y) { y = MatMul(x, w) }"
    made = graphs.saved(tmp_path / "m.onnx", graph, SIGNATURE, w=WEIGHTS)
    sealed.seal(made, "abc", FOUND)
    return open_artifact(made.path)


def test_it_tells_what_was_found(made: OnnxArtifact) -> None:
    assert sealed.verdict(made, "abc") == FOUND


def test_another_model_is_not_what_was_checked(made: OnnxArtifact) -> None:
    assert sealed.verdict(made, "abd") == ""


def test_the_file_is_one_that_onnx_reads(made: OnnxArtifact) -> None:
    onnx.checker.check_model(str(made.path), full_check=True)
    assert str(made.signature) == str(artifact.Signature.parse(SIGNATURE))


@pytest.mark.parametrize("what", [WEIGHTS.tobytes(), b"MatMul", b"1..8", b"128 cases"])
def test_a_bit_that_changed_breaks_it(made: OnnxArtifact, what: bytes) -> None:
    content = bytearray(made.path.read_bytes())
    content[content.index(what)] ^= 1
    made.path.write_bytes(content)
    assert sealed.verdict(made, "abc") == ""


def test_what_was_appended_later_breaks_it(made: OnnxArtifact) -> None:
    with made.path.open("ab") as file:
        file.write(onnx.ModelProto(doc_string="edited").SerializeToString())
    assert sealed.verdict(made, "abc") == ""


def test_a_stage_that_writes_the_model_again_leaves_it_out(made: OnnxArtifact) -> None:
    again = artifact.save(
        artifact.read_model(made), made.path, made.signature, made.provenance.then("simplified")
    )
    assert sealed.verdict(again, "abc") == ""
    keys = {p.key for p in onnx.load(str(made.path)).metadata_props}
    assert keys == {artifact.SIGNATURE_KEY, artifact.PROVENANCE_KEY}


def test_weights_beside_it_are_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "EXTERNAL_ABOVE", 0)
    graph = "(float[n, 400] x) => (float[n, 4] y) { y = MatMul(x, w) }"
    signature = "x: float32[n, 400]; where n = 1..8"
    weights = np.ones((400, 4), np.float32)
    made = graphs.saved(tmp_path / "m.onnx", graph, signature, w=weights)
    sealed.seal(made, "abc", FOUND)
    assert sealed.verdict(made, "abc") == FOUND
    beside = made.files[1]
    content = bytearray(beside.read_bytes())
    content[100] ^= 1
    beside.write_bytes(content)
    assert sealed.verdict(made, "abc") == ""
    beside.unlink()
    assert sealed.verdict(made, "abc") == ""
