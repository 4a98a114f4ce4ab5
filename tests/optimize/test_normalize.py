"""What is mended in an exported file: names, frozen lengths, traces of the author's machine."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from exporters.dynamo import Dynamo
from exporters.torchscript import TorchScript
from tests import models
from tests.graphs import parsed
from toolkit import source
from toolkit.artifact import OnnxArtifact, Provenance
from toolkit.errors import ExportRefused
from toolkit.model import observed
from toolkit.optimize.normalize import normalize
from toolkit.optimize.traces import TRACE
from toolkit.proto import graphs
from toolkit.signature import Signature

SIGNATURE = """
    x: float32[batch, time]
    where batch = 1..8, time = 1..8
    -> y: float32[batch, time]
"""
PLAIN = "(float[batch, time] x) => (float[batch, time] y) { y = Relu(x) }"
BRANCHED = """
    (float[batch, time] x) => (float[batch, time] y) <float "model.layer.w" = {3}> {
        some = Constant<value: tensor = bool {1}>()
        h = Mul(x, "model.layer.w")
        y = If(some) <
            then_branch = t () => (float[batch, time] a) { a = Add(h, "model.layer.w") },
            else_branch = e () => (float[batch, time] b) { b = Sub(h, "model.layer.w") }
        >
    }
"""
HOME = "/home/author/secret/net.py"


def mended(folder: Path, raw: onnx.ModelProto, signature: str = SIGNATURE) -> onnx.ModelProto:
    onnx.save(raw, str(folder / "raw.onnx"))
    normalize(folder / "raw.onnx", folder / "m.onnx", Signature.parse(signature), Provenance())
    return onnx.load(str(folder / "m.onnx"))


def initializers(model: onnx.ModelProto) -> list[str]:
    return [t.name for t in model.graph.initializer]


def test_weights_get_the_names_of_the_users_module(tmp_path: Path) -> None:
    assert initializers(mended(tmp_path, parsed(BRANCHED))) == ["layer.w"]


def test_renamed_weights_are_found_by_all_that_use_them(tmp_path: Path) -> None:
    mended(tmp_path, parsed(BRANCHED))
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    (y,) = session.run(None, {"x": np.full((1, 1), 5, np.float32)})
    assert y == 5 * 3 + 3


@pytest.mark.parametrize(
    "taken",
    [
        '(float[batch, time] x) => (float[batch, time] y) <float w = {1}, float "model.w" = {2}>'
        '{ h = Mul(x, w) y = Mul(h, "model.w") }',
        '(float[batch, time] x) => (float[batch, time] y) <float "model.w" = {2}>'
        '{ w = Relu(x) y = Mul(w, "model.w") }',
        '(float[batch, time] x) => (float[batch, time] y) <float "model.x" = {2}>'
        '{ y = Mul(x, "model.x") }',
        '(float[batch, time] x) => (float[batch, time] y) <float "model.y" = {2}>'
        '{ y = Mul(x, "model.y") }',
        BRANCHED.replace("model.layer.w", "model.a"),
    ],
    ids=["by a weight", "by a value", "by an input", "by an output", "in a branch"],
)
def test_a_weight_does_not_get_a_name_that_is_taken(tmp_path: Path, taken: str) -> None:
    onnx.checker.check_model(mended(tmp_path, parsed(taken)), full_check=True)


def test_a_length_left_from_the_trace_is_declared_as_in_the_signature(tmp_path: Path) -> None:
    frozen = "(float[batch, time] x) => (float[batch, 5] y) <float[batch, 5] h>"
    model = mended(tmp_path, parsed(frozen + "{ h = Relu(x) y = Relu(h) }"))
    declared = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.value_info, *model.graph.output)
    ]
    assert declared == [["batch", "time"], ["batch", "time"]]


@pytest.mark.parametrize("key", ["pkg.torch.onnx.stack_trace", "pkg.torch.export.ExportedProgram"])
@pytest.mark.parametrize("owner", ["model", "graph", "node", "input", "weight", "inner node"])
def test_metadata_that_names_files_of_the_author_is_removed(
    tmp_path: Path, owner: str, key: str
) -> None:
    raw = parsed(BRANCHED)
    owners = {
        "model": raw,
        "graph": raw.graph,
        "node": raw.graph.node[1],
        "input": raw.graph.input[0],
        "weight": raw.graph.initializer[0],
        "inner node": graphs(raw.graph)[1].node[0],
    }
    owners[owner].metadata_props.add(key=key, value=HOME)
    mended(tmp_path, raw)
    assert HOME.encode() not in (tmp_path / "m.onnx").read_bytes()


def test_doc_strings_are_removed_where_torchscript_writes_its_stack_trace(tmp_path: Path) -> None:
    raw = parsed(BRANCHED)
    for node in (raw.graph.node[1], graphs(raw.graph)[1].node[0]):
        node.doc_string = HOME
    mended(tmp_path, raw)
    assert HOME.encode() not in (tmp_path / "m.onnx").read_bytes()


def test_module_paths_stay_and_begin_at_the_users_module(tmp_path: Path) -> None:
    raw = parsed(PLAIN)
    raw.graph.node[0].metadata_props.add(key="namespace", value="model.encoder/model.encoder.relu")
    (entry,) = mended(tmp_path, raw).graph.node[0].metadata_props
    assert entry.value == "encoder/encoder.relu"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (PLAIN, {""}),
        (PLAIN.replace("Relu", "com.microsoft.Gelu"), {"", "com.microsoft"}),
        (BRANCHED.replace("Sub(h,", "com.microsoft.BiasGelu(h,"), {"", "com.microsoft"}),
    ],
    ids=["unused", "used", "used in a branch"],
)
def test_only_opsets_in_use_are_imported(tmp_path: Path, text: str, kept: set[str]) -> None:
    raw = parsed(text, domains='"com.microsoft" : 1, "ai.onnx.ml" : 3')
    assert {o.domain for o in mended(tmp_path, raw).opset_import} == kept


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (SIGNATURE.replace("x:", "z:"), "has the inputs x\nthe signature has z"),
        (SIGNATURE.replace("y:", "z:"), "has the outputs y\nthe signature has z"),
        (SIGNATURE + "-> more: float32[]", "has the outputs y\nthe signature has y, more"),
    ],
)
def test_refuses_a_graph_with_other_names_than_the_signature(
    tmp_path: Path, declared: str, message: str
) -> None:
    with pytest.raises(ExportRefused, match=message):
        mended(tmp_path, parsed(PLAIN), declared)


def test_the_file_carries_its_signature_and_provenance(tmp_path: Path) -> None:
    onnx.save(parsed(PLAIN), str(tmp_path / "raw.onnx"))
    signature, provenance = Signature.parse(SIGNATURE), Provenance(exporter="mine", opset=20)
    done = normalize(tmp_path / "raw.onnx", tmp_path / "m.onnx", signature, provenance)
    assert (done.signature, done.provenance) == (signature, provenance)


def test_stack_traces_stay_where_they_are_wanted_without_the_authors_folder(tmp_path: Path) -> None:
    raw = parsed(PLAIN)
    raw.graph.node[0].metadata_props.add(key=TRACE, value=f'File "{HOME}", line 3, in forward')
    onnx.save(raw, str(tmp_path / "raw.onnx"))
    signature = Signature.parse(SIGNATURE)
    normalize(tmp_path / "raw.onnx", tmp_path / "m.onnx", signature, Provenance(), keep_trace=True)
    (entry,) = onnx.load(str(tmp_path / "m.onnx")).graph.node[0].metadata_props
    assert (entry.key, entry.value) == (TRACE, 'File "net.py", line 3, in forward')


def test_lengths_left_from_the_trace_within_a_branch_are_forgotten(tmp_path: Path) -> None:
    raw = parsed(BRANCHED)
    branch = graphs(raw.graph)[1]
    branch.value_info.append(onnx.helper.make_tensor_value_info("a", 1, [3, 5]))
    for graph in graphs(mended(tmp_path, raw).graph)[1:]:
        assert all(v.type.tensor_type.shape.dim[0].dim_param for v in graph.value_info)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    """A Transformer as torch's exporter writes it, mended."""
    folder = tmp_path_factory.mktemp("encoder")
    model = observed(source.load(models.encoder()))
    Dynamo().export(model, folder / "raw.onnx", opset=20)
    return normalize(folder / "raw.onnx", folder / "m.onnx", model.signature, Provenance())


def test_a_real_encoder_has_readable_names(encoder: OnnxArtifact) -> None:
    graph = onnx.load(str(encoder.path)).graph
    nodes = {node.name for node in graph.node}
    assert {"layers.0.linear1/MatMul", "layers.0.norm1/LayerNormalization"} <= nodes
    values = {name for node in graph.node for name in (*node.input, *node.output)}
    assert not [name for name in values if re.match(r"val_|node_|.*_\d+_", name)]


def test_a_real_encoder_has_the_weights_of_the_module_by_name(encoder: OnnxArtifact) -> None:
    state = {n: t for n, t in models.encoder()[0].state_dict().items() if t.dim() == 2}
    found = {name.removesuffix(".T") for name in initializers(onnx.load(str(encoder.path)))}
    assert state.keys() <= found  # of vectors, those that are all zero are one


def test_a_real_encoder_is_one_file_without_leftovers(encoder: OnnxArtifact) -> None:
    assert sorted(p.name for p in encoder.path.parent.iterdir()) == ["m.onnx", "raw.onnx"]


def test_a_real_encoder_names_no_folder_of_the_author(encoder: OnnxArtifact) -> None:
    assert str(Path(__file__).parents[2]).encode() not in encoder.path.read_bytes()


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    """An LSTM as TorchScript writes it, mended."""
    folder = tmp_path_factory.mktemp("recurrent")
    model = source.load(models.recurrent())
    TorchScript().export(model, folder / "raw.onnx", opset=20)
    return normalize(folder / "raw.onnx", folder / "m.onnx", model.signature, Provenance())


def test_a_real_lstm_declares_the_shapes_of_its_signature(recurrent: OnnxArtifact) -> None:
    assert {o.name: o.shape for o in recurrent.outputs} == {
        "scores": ("batch", "time", 2),
        "last": ("batch", 5),
    }


def test_a_real_lstm_has_the_weights_of_the_module_by_name(recurrent: OnnxArtifact) -> None:
    assert "out.bias" in initializers(onnx.load(str(recurrent.path)))


def test_a_real_lstm_names_no_folder_of_the_author(recurrent: OnnxArtifact) -> None:
    assert str(Path(__file__).parents[2]).encode() not in recurrent.path.read_bytes()


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("time", [1, 9])
def test_a_real_lstm_runs_at_every_length(recurrent: OnnxArtifact, batch: int, time: int) -> None:
    session = ort.InferenceSession(str(recurrent.path))
    scores, _ = session.run(None, {"x": np.zeros((batch, time, 3), np.float32)})
    assert scores.shape == (batch, time, 2)
