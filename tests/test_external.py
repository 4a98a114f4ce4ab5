"""Weights in files beside a model: read one at a time, moved without a copy, written once."""

from mmap import mmap
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from tests.graphs import parsed
from toolkit import external
from toolkit.external import SMALL

RNG = np.random.default_rng(0)
WEIGHT = RNG.random((40, 64), np.float32)
OTHER = RNG.random((40, 64), np.float32)
TEXT = "(float[n, 40] x) => (float[n, 64] y) { h = MatMul(x, w) y = Add(h, b) }"
BIAS = np.arange(64, dtype=np.float32)


def model(**weights: np.ndarray) -> ModelProto:
    return parsed(TEXT, **({"w": WEIGHT, "b": BIAS} | weights))


def beside(folder: Path, *, move: bool = False, **weights: np.ndarray) -> ModelProto:
    proto = model(**weights)
    external.put_beside(proto, folder, folder / "m.onnx", move=move)
    return proto


def pointing(proto: ModelProto, **places: tuple[str, int, int]) -> ModelProto:
    """The model with some weights said to be in files."""
    for tensor in proto.graph.initializer:
        if tensor.name in places:
            onnx.external_data_helper.set_external_data(tensor, *places[tensor.name])
            tensor.ClearField("raw_data")
    return proto


def values(proto: ModelProto, folder: Path) -> dict[str, np.ndarray]:
    return dict(external.Weights(proto, folder))


def test_small_tensors_stay_in_the_model(tmp_path: Path) -> None:
    where = {t.name: external.stored(t) is not None for t in beside(tmp_path).graph.initializer}
    assert where == {"w": True, "b": False}
    assert BIAS.nbytes <= SMALL < WEIGHT.nbytes


def test_what_was_written_beside_is_read_back(tmp_path: Path) -> None:
    found = values(beside(tmp_path), tmp_path)
    np.testing.assert_array_equal(found["w"], WEIGHT)
    np.testing.assert_array_equal(found["b"], BIAS)


def test_weights_of_a_file_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    owner: object = values(beside(tmp_path), tmp_path)["w"]
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, mmap)


def test_onnx_itself_reads_the_same(tmp_path: Path) -> None:
    proto = beside(tmp_path)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    read = onnx.load(str(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(numpy_helper.to_array(read.graph.initializer[0]), WEIGHT)


@pytest.mark.parametrize(
    "array",
    [
        RNG.random((40, 64)),
        RNG.integers(-9, 9, (40, 64)).astype(np.int8),
        RNG.random((40, 64)).astype(ml_dtypes.bfloat16),
        RNG.integers(-8, 8, (40, 65)).astype(ml_dtypes.int4),
        RNG.random((40, 64)) > 0.5,
    ],
    ids=lambda a: str(a.dtype),
)
def test_every_type_is_read_back(tmp_path: Path, array: np.ndarray) -> None:
    found = values(beside(tmp_path, w=array), tmp_path)["w"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_equal_weights_share_their_place(tmp_path: Path) -> None:
    proto = beside(tmp_path, w=WEIGHT, b=WEIGHT.copy())
    one, other = map(external.stored, proto.graph.initializer)
    assert one == other
    np.testing.assert_array_equal(values(proto, tmp_path)["b"], WEIGHT)


def test_the_name_of_the_file_follows_from_its_content(tmp_path: Path) -> None:
    names = {external.files(beside(tmp_path, w=w)) for w in (WEIGHT, WEIGHT.copy(), OTHER)}
    assert len(names) == 2


def test_a_file_of_nothing_else_is_renamed_and_not_copied(tmp_path: Path) -> None:
    (tmp_path / "raw.data").write_bytes(WEIGHT.tobytes() + OTHER.tobytes())
    inode = (tmp_path / "raw.data").stat().st_ino
    places = {"w": ("raw.data", 0, WEIGHT.nbytes), "b": ("raw.data", WEIGHT.nbytes, OTHER.nbytes)}
    proto = pointing(model(b=OTHER), **places)
    external.put_beside(proto, tmp_path, tmp_path / "m.onnx", move=True)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_ino == inode
    assert external.files(proto) == (file.name,)
    np.testing.assert_array_equal(values(proto, tmp_path)["b"], OTHER)


def test_a_file_with_other_content_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "raw.data").write_bytes(bytes(WEIGHT.nbytes) + WEIGHT.tobytes())
    proto = pointing(model(), w=("raw.data", WEIGHT.nbytes, WEIGHT.nbytes))
    external.put_beside(proto, tmp_path, tmp_path / "m.onnx", move=True)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == WEIGHT.nbytes
    np.testing.assert_array_equal(values(proto, tmp_path)["w"], WEIGHT)


def test_a_file_for_each_weight_becomes_one(tmp_path: Path) -> None:
    """As TorchScript writes a model above 2 GB."""
    (tmp_path / "one").write_bytes(WEIGHT.tobytes())
    (tmp_path / "two").write_bytes(OTHER.tobytes())
    places = {"w": ("one", 0, WEIGHT.nbytes), "b": ("two", 0, OTHER.nbytes)}
    proto = pointing(model(b=OTHER), **places)
    external.put_beside(proto, tmp_path, tmp_path / "m.onnx", move=True)
    assert [p.name for p in tmp_path.iterdir()] == [*external.files(proto)]
    np.testing.assert_array_equal(values(proto, tmp_path)["b"], OTHER)


def test_files_of_somebody_else_are_left(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(WEIGHT.tobytes())
    proto = pointing(model(), w=("one", 0, WEIGHT.nbytes))
    external.put_beside(proto, tmp_path, tmp_path / "m.onnx", move=False)
    assert (tmp_path / "one").read_bytes() == WEIGHT.tobytes()


@pytest.mark.parametrize("move", [True, False])
def test_weights_can_be_taken_into_the_model(tmp_path: Path, move: bool) -> None:
    proto = beside(tmp_path)
    external.take_in(proto, tmp_path, move=move)
    assert external.files(proto) == ()
    assert bool([*tmp_path.iterdir()]) is not move
    np.testing.assert_array_equal(numpy_helper.to_array(proto.graph.initializer[0]), WEIGHT)


def test_weights_within_branches_are_found(tmp_path: Path) -> None:
    text = """(float[n, 40] x, bool c) => (float[n, 64] y) {
        y = If(c) <
            then_branch = t () => (float[n, 64] a) { a = MatMul(x, w) },
            else_branch = e () => (float[n, 64] b) { b = MatMul(x, v) }
        >
    }"""
    proto = parsed(text, w=WEIGHT)
    branch = proto.graph.node[0].attribute[1].g
    branch.initializer.append(numpy_helper.from_array(OTHER, "v"))
    external.put_beside(proto, tmp_path, tmp_path / "m.onnx", move=False)
    np.testing.assert_array_equal(external.read(branch.initializer[0], tmp_path), OTHER)


@pytest.mark.parametrize(
    ("location", "length", "message"),
    [
        ("../secret", WEIGHT.nbytes, "outside of its own folder"),
        ("link", WEIGHT.nbytes, "outside of its own folder"),
        ("short", WEIGHT.nbytes, "ends before the weights do"),
    ],
)
def test_only_whole_files_beside_the_model_are_read(
    tmp_path: Path, location: str, length: int, message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(WEIGHT.tobytes()[:-1])
    proto = pointing(model(), w=(location, 0, length))
    with pytest.raises(ValueError, match=message):
        external.Weights(proto, folder)
