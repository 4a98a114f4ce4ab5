"""ONNX files: what they say about themselves is read back, whoever wrote them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolkit import artifact
from toolkit.artifact import Declared, Provenance, open_artifact, save
from toolkit.domain import Choices, Interval
from toolkit.errors import InputError
from toolkit.signature import Signature

SIGNATURE = Signature.parse(
    "x: float32[batch, 64] in 0..1; where batch = 1..64; -> y: float32[batch, 64]"
)
PROVENANCE = Provenance(
    source="m.py:build",
    weights="ab" * 32,
    exporter="dynamo",
    opset=20,
    traced={"batch": 5},
    stages=("simplify",),
    versions={"torch": "2.13"},
)
WEIGHT = np.random.default_rng(0).random((64, 64), np.float32)


def model(
    *nodes: onnx.NodeProto,
    shape: tuple[int | str | None, ...] | None = ("batch", 64),
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    """x times a weight, or what `nodes` make of x, as some other tool writes it."""
    product = helper.make_node("MatMul", ["x", "weight"], ["y"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes or (product,),
        "g",
        [value("x", dtype, shape)],
        [value("y", TensorProto.FLOAT, ("batch", 64))],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, producer_name="other", opset_imports=opset)


def written(path: Path, proto: ModelProto) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_saved_file_carries_its_signature_and_provenance(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx", SIGNATURE, PROVENANCE)
    read = open_artifact(tmp_path / "m.onnx")
    assert (read.signature, read.provenance, read.assumed) == (SIGNATURE, PROVENANCE, False)


def test_saving_again_replaces_what_the_file_carried(tmp_path: Path) -> None:
    proto = model()
    save(proto, tmp_path / "m.onnx", SIGNATURE, PROVENANCE)
    made = save(proto, tmp_path / "m.onnx", SIGNATURE, PROVENANCE.then("quantize", lossy=True))
    assert (made.provenance.stages, made.provenance.lossy) == (("simplify", "quantize"), True)


def test_the_same_model_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        save(model(), tmp_path / name, SIGNATURE, PROVENANCE)
    assert artifact.sha256(tmp_path / "a.onnx") == artifact.sha256(tmp_path / "b.onnx")


def test_a_saved_file_is_valid_onnx(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx", SIGNATURE, PROVENANCE)
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)


def test_a_signature_that_is_given_replaces_the_one_it_carries(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx", SIGNATURE, PROVENANCE)
    narrow = "x: float32[batch, 64]; where batch = 1..2"
    assert open_artifact(tmp_path / "m.onnx", narrow).signature == Signature.parse(narrow)


def test_a_foreign_file_declares_its_inputs_and_outputs(tmp_path: Path) -> None:
    read = open_artifact(written(tmp_path / "m.onnx", model(shape=(None, 64))))
    assert read.inputs == (Declared("x", "float32", (None, 64)),)
    assert read.outputs == (Declared("y", "float32", ("batch", 64)),)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [(("batch", 64), ["batch"]), ((None, 64), ["x_0"]), ((3, 64), []), ((), [])],
)
def test_a_foreign_file_gets_assumed_ranges(
    tmp_path: Path, shape: tuple[int | str | None, ...], dims: list[str]
) -> None:
    read = open_artifact(written(tmp_path / "m.onnx", model(shape=shape)))
    assert read.assumed
    assert [(d.name, d.sizes) for d in read.signature.dims] == [(n, Interval(1, 8)) for n in dims]


def test_whole_numbers_of_a_foreign_file_are_taken_for_0_and_1(tmp_path: Path) -> None:
    read = open_artifact(written(tmp_path / "m.onnx", model(dtype=TensorProto.INT64)))
    assert read.signature.inputs[0].values == Choices((0, 1))


def test_a_foreign_file_may_return_its_input(tmp_path: Path) -> None:
    proto = model()
    proto.graph.output.append(proto.graph.input[0])
    read = open_artifact(written(tmp_path / "m.onnx", proto))
    assert [d.name for d in read.outputs] == ["y", "x"]


def test_an_input_that_no_node_reads_is_marked(tmp_path: Path) -> None:
    proto = model()
    proto.graph.input.append(proto.graph.input[0])
    proto.graph.input[-1].name = "spare"
    read = open_artifact(written(tmp_path / "m.onnx", proto))
    assert [d.name for d in read.inputs] == ["x", "spare"]
    assert read.unused == ("spare",)


def test_a_foreign_file_names_its_tool_and_opset(tmp_path: Path) -> None:
    read = open_artifact(written(tmp_path / "m.onnx", model()))
    assert (read.provenance.exporter, read.provenance.opset) == ("other", 20)


@pytest.mark.parametrize(
    "text", ["", "plain", "[]", "null", "{}", '{"stages": 5}', '{"stages": null}', '{"stages": [']
)
def test_a_provenance_of_somebody_else_is_no_obstacle(tmp_path: Path, text: str) -> None:
    proto = model()
    helper.set_model_props(proto, {artifact.PROVENANCE_KEY: text})
    assert open_artifact(written(tmp_path / "m.onnx", proto)).provenance.exporter == "other"


def test_a_damaged_signature_in_a_file_is_pointed_at(tmp_path: Path) -> None:
    proto = model()
    helper.set_model_props(proto, {artifact.SIGNATURE_KEY: "x float32"})
    with pytest.raises(InputError, match="signature line 1"):
        open_artifact(written(tmp_path / "m.onnx", proto))


@pytest.mark.parametrize(
    ("operator", "lossy"),
    [
        ("QuantizeLinear", True),
        ("DynamicQuantizeLinear", True),
        ("MatMulNBits", True),
        ("Add", False),
    ],
)
def test_a_foreign_file_that_rounds_its_values_is_lossy(
    tmp_path: Path, operator: str, lossy: bool
) -> None:
    node = helper.make_node(operator, ["x", "weight"], ["y"])
    assert open_artifact(written(tmp_path / "m.onnx", model(node))).provenance.lossy is lossy


def missing(path: Path) -> None:
    path.with_name("else.onnx").write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("import torch\n" * 9)


def truncated(path: Path) -> None:
    path.write_bytes(model().SerializeToString()[:-400])


def without_rank(path: Path) -> None:
    written(path, model(shape=None))


def of_text(path: Path) -> None:
    written(path, model(dtype=TensorProto.STRING))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "is not there"),
        (folder, "is a folder, not a file"),
        (empty, "is not an ONNX model"),
        (text, "cannot be read as ONNX"),
        (truncated, "cannot be read as ONNX"),
        (without_rank, "input 'x' of the file has no declared rank"),
        (of_text, "element type 8"),
    ],
)
def test_refuses_what_is_no_model_of_tensors(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "m.onnx")
    with pytest.raises(InputError) as caught:
        open_artifact(tmp_path / "m.onnx")
    assert message in caught.value.message
