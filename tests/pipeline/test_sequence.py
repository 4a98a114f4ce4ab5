"""A bundle of several graphs: each one proven, and what they write together is PyTorch's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

import toolkit
from runtimes.onnxruntime import OnnxRuntime
from runtimes.pytorch import PyTorch
from tests import models
from toolkit import source
from toolkit.artifact import open_artifact, read_model, save
from toolkit.errors import InputError, MissingError, ParityError
from toolkit.pipeline.sequence import SequenceBundle
from toolkit.pipeline.ship import Bundle

SOURCE = (
    "zoo:encoder_decoder,sources=50,targets=25,embedding=16,hidden=24,longest=12"
    ",attention=False,end=23"
)
PARTS = ["decoder", "encoder"]
RNG = np.random.default_rng(0)
DATA = {"source": RNG.integers(0, 50, (40, 9)), "lengths": RNG.integers(1, 10, 40)}
"""More rows than fit into a batch."""
CUDA_WORKS = "cuda" in {d for r in (OnnxRuntime(), PyTorch()) for d in r.availability().devices}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> SequenceBundle:
    out = tmp_path_factory.mktemp("sequence") / "bundle"
    return toolkit.ship_sequence(SOURCE, out, data=DATA, budget=0.1)


@pytest.fixture(scope="module")
def expected() -> list[list[int]]:
    """What PyTorch writes."""
    return toolkit.generator(SOURCE).generate(DATA)


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return found


def test_the_folder_holds_a_bundle_for_each_graph_and_a_manifest(bundle: SequenceBundle) -> None:
    assert sorted(p.name for p in bundle.path.iterdir()) == [*PARTS, "manifest.json"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_an_ordinary_bundle(bundle: SequenceBundle, part: str) -> None:
    names = {p.name for p in (bundle.path / part).iterdir()}
    expected = {"model.onnx", "golden.safetensors", "manifest.json", "export.log", "report.html"}
    assert names - {"model.int8.onnx"} == expected


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_proven_again_against_the_source_that_it_names(
    bundle: SequenceBundle, part: str
) -> None:
    report = toolkit.check(bundle.path / part, limit=20)
    assert report.holds, report.reason
    assert report.reference == f"{SOURCE},part={part}"


@pytest.mark.parametrize("part", PARTS)
def test_the_paths_are_those_of_the_finished_folder(bundle: SequenceBundle, part: str) -> None:
    found = bundle.parts[part]
    assert (found.path, found.model.path) == (
        bundle.path / part,
        bundle.path / part / "model.onnx",
    )
    assert found.model.path.is_file()


def test_an_int8_file_lies_where_its_bundle_says(bundle: SequenceBundle) -> None:
    """There is one only where it is faster than float32 on this machine."""
    said = {str(b.int8.path) for b in bundle.parts.values() if b.int8}
    assert said == {str(p) for p in bundle.path.rglob("model.int8.onnx")}


def test_the_manifest_names_the_source_the_parts_and_the_generation(bundle: SequenceBundle) -> None:
    found = manifest(bundle.path)
    assert found["source"] == SOURCE
    assert found["parts"] == ["encoder", "decoder"]
    assert found["generation"] == {"start": 1, "end": 23, "most": 12}
    assert found["parameters"] == source.load(SOURCE).parameters


def test_the_manifest_says_how_each_runtime_writes(bundle: SequenceBundle) -> None:
    writings = {w["subject"]: w for w in manifest(bundle.path)["writing"]}
    assert set(writings) - {"int8"} == {"pytorch", "float32"}
    assert all(set(w["speed"]) == {"1", "8"} for w in writings.values())


def test_float32_wrote_what_pytorch_writes_before_the_bundle_was_made(
    bundle: SequenceBundle,
) -> None:
    """16 rows, greedy and by beams."""
    (float32,) = (w for w in bundle.writings if w.subject == "float32")
    assert (float32.equal, float32.rows) == (32, 32)


@pytest.mark.parametrize("name", [Path, str], ids=["path", "text"])
def test_the_bundle_writes_what_its_source_writes(
    bundle: SequenceBundle, expected: list[list[int]], name: Callable[[Path], Any]
) -> None:
    assert toolkit.generator(name(bundle.path)).generate(DATA) == expected


def test_the_bundle_writes_what_its_source_writes_by_beams(bundle: SequenceBundle) -> None:
    by_beams: dict[str, Any] = {"beams": 4, "length_penalty": 0.5, "most": 6}
    written = toolkit.generator(SOURCE).generate(DATA, **by_beams)
    assert toolkit.generator(bundle.path).generate(DATA, **by_beams) == written


def test_int8_uses_the_int8_file_of_each_graph_that_has_one(
    bundle: SequenceBundle, expected: list[list[int]], tmp_path: Path
) -> None:
    """A decoder that says the opposite stands in for it, so that it shows which file was used."""
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    for other in copy.rglob("model.int8.onnx"):
        other.unlink()
    artifact = open_artifact(copy / "decoder" / "model.onnx")
    opposite = read_model(artifact)
    (node,) = (n for n in opposite.graph.node if "logits" in n.output)
    node.output[0] = "positive"
    negation = opposite.graph.node.add(op_type="Neg")
    negation.input.append("positive")
    negation.output.append("logits")
    int8 = copy / "decoder" / "model.int8.onnx"
    save(opposite, int8, artifact.signature, artifact.provenance)
    assert toolkit.generator(copy).generate(DATA) == expected
    assert toolkit.generator(copy, int8=True).generate(DATA) != expected


def test_generate_writes_tokens_and_lengths(
    bundle: SequenceBundle, expected: list[list[int]], tmp_path: Path
) -> None:
    done = toolkit.generate(bundle.path, DATA, tmp_path / "texts.npz", device="cpu")
    with np.load(tmp_path / "texts.npz") as found:
        tokens, lengths = found["tokens"], found["lengths"]
    assert [row[:n].tolist() for row, n in zip(tokens, lengths, strict=True)] == expected
    assert (done.rows, done.tokens, done.device) == (40, lengths.sum(), "cpu")


def test_texts_are_filled_up_with_the_end_token(bundle: SequenceBundle, tmp_path: Path) -> None:
    toolkit.generate(bundle.path, DATA, tmp_path / "texts.npz")
    with np.load(tmp_path / "texts.npz") as found:
        tokens, lengths = found["tokens"], found["lengths"]
    assert tokens.shape == (40, lengths.max())
    assert lengths.min() < lengths.max()
    assert set(tokens[np.arange(tokens.shape[1]) >= lengths[:, None]].tolist()) <= {23}


def test_generate_takes_a_file_of_rows(
    bundle: SequenceBundle, expected: list[list[int]], tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", **DATA)  # type: ignore[arg-type]  # one might be allow_pickle
    toolkit.generate(bundle.path, tmp_path / "rows.npz", tmp_path / "texts.npz", most=3)
    with np.load(tmp_path / "texts.npz") as found:
        assert found["lengths"].tolist() == [min(3, len(text)) for text in expected]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"source": DATA["source"]}, "input 'lengths' is missing"),
        ({**DATA, "lengths": DATA["lengths"][:9]}, "inputs have different numbers of rows"),
        ({**DATA, "lengths": DATA["lengths"] + 99}, "input 'lengths' holds"),
        ({**DATA, "ids": DATA["source"]}, "there is no input 'ids'"),
    ],
    ids=["missing", "fewer", "out of range", "unknown"],
)
def test_rows_that_do_not_fit_leave_the_file_as_it_was(
    bundle: SequenceBundle, tmp_path: Path, rows: dict[str, np.ndarray], message: str
) -> None:
    (tmp_path / "texts.npz").write_text("older")
    with pytest.raises(InputError, match=message):
        toolkit.generate(bundle.path, rows, tmp_path / "texts.npz")
    assert (tmp_path / "texts.npz").read_text() == "older"


def test_a_bundle_that_writes_something_else_is_not_made(
    bundle: SequenceBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its graphs are those of other weights, as if their proof had been blind to that."""
    module = source.load(SOURCE).module
    state = {name: -tensor for name, tensor in module.state_dict().items()}
    save_file(state, tmp_path / "other.safetensors")

    def blind(part: Any, out: Path, **_: object) -> Bundle:
        shutil.copytree(bundle.path / out.name, out)
        return bundle.parts[out.name]

    monkeypatch.setattr("toolkit.pipeline.sequence.ship", blind)
    with pytest.raises(ParityError, match=r"the bundle writes \[.*\], PyTorch writes \["):
        toolkit.ship_sequence(
            SOURCE, tmp_path / "b", weights=tmp_path / "other.safetensors", data=DATA, budget=0.1
        )
    assert [p.name for p in tmp_path.iterdir()] == ["other.safetensors"]


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a bundle"):
        toolkit.ship_sequence(SOURCE, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("call", [toolkit.ship_sequence, lambda model, _: toolkit.generator(model)])
def test_refuses_a_module_that_does_not_write_sequences(
    tmp_path: Path, call: Callable[..., object]
) -> None:
    with pytest.raises(InputError, match=r"'Linear' does not write sequences\n.*`parts`"):
        call(models.linear(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["decoder", "."])
def test_refuses_to_generate_by_any_other_folder(
    bundle: SequenceBundle, tmp_path: Path, folder: str
) -> None:
    """The bundle of one graph, and a folder that is no bundle."""
    path = bundle.path / folder if folder != "." else tmp_path
    with pytest.raises(InputError, match="is not the bundle of a model that writes sequences"):
        toolkit.generator(path)


@pytest.mark.parametrize("call", [toolkit.inspect, toolkit.load, toolkit.check])
def test_a_call_for_one_graph_names_those_of_the_bundle(
    bundle: SequenceBundle, call: Callable[[Path], object]
) -> None:
    with pytest.raises(InputError) as caught:
        call(bundle.path)
    assert caught.value.message == f"bundle '{bundle.path}' has 2 graphs"
    names = f"{bundle.path}/decoder, {bundle.path}/encoder"
    assert caught.value.hint == f"name one of them: {names}"


@pytest.mark.skipif(CUDA_WORKS, reason="CUDA works on this machine")
@pytest.mark.parametrize(
    ("call", "model"),
    [(toolkit.ship, models.unsigned()), (toolkit.ship_sequence, SOURCE)],
    ids=["one graph", "several"],
)
def test_a_device_that_is_not_there_leaves_the_folder_as_it_was(
    tmp_path: Path, call: Callable[..., object], model: Any
) -> None:
    older = tmp_path / "b"
    older.mkdir()
    (older / "manifest.json").write_text("{}")
    (older / "model.onnx").write_text("from before")
    with pytest.raises(MissingError) as caught:
        call(model, older, device="cuda")
    assert caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert {p.name: p.read_text() for p in older.iterdir()} == {
        "manifest.json": "{}",
        "model.onnx": "from before",
    }


def test_another_runtime_writes_the_same(bundle: SequenceBundle, expected: list[list[int]]) -> None:
    found = toolkit.generator(bundle.path, device="cpu", runtime="onnxruntime-unoptimized")
    assert found.generate(DATA) == expected
