"""A file checked without PyTorch and without its source: against recorded outputs."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

import toolkit
from tests.pipeline.originals import with_weight
from tests.test_startup import command, loaded
from toolkit.artifact import open_artifact, read_model, save
from toolkit.errors import InputError
from toolkit.pipeline.golden import GOLDEN
from toolkit.signature import Signature

Trained = tuple[nn.Module, Signature]


@pytest.fixture(scope="module")
def golden(trained: Trained, digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden") / GOLDEN
    toolkit.check(digits_file, against=trained, golden=path, limit=4)
    return path


def test_a_right_file_holds_against_what_was_recorded(golden: Path, digits_file: Path) -> None:
    report = toolkit.check(digits_file, against=golden)
    assert report.holds, report.reason
    assert len(report.results) > 8
    assert report.reference.endswith("as recorded in golden.safetensors")


def test_a_wrong_file_differs_and_its_case_reruns(
    golden: Path, digits_file: Path, tmp_path: Path
) -> None:
    path = with_weight(digits_file, tmp_path / "m.onnx", "dense.weight", lambda a: a * 1.01)
    report = toolkit.check(path, against=str(golden))
    assert report.failures
    again = toolkit.check(path, against=golden, case=str(report.failures[0].case))
    assert again.failures[0].reason == report.failures[0].reason


def test_it_needs_no_torch(golden: Path, digits_file: Path) -> None:
    found = loaded(command("check", str(digits_file), "--against", str(golden)))
    assert not {"torch", "onnxruntime", "sympy"} & set(found)


def test_it_takes_the_place_of_a_source_that_cannot_be_loaded(
    golden: Path, digits_file: Path, tmp_path: Path
) -> None:
    artifact = open_artifact(digits_file)
    made = replace(artifact.provenance, source="gone.py:model")
    gone = save(read_model(artifact), tmp_path / "model.onnx", artifact.signature, made)
    shutil.copy(golden, tmp_path)
    report = toolkit.check(gone.path)
    assert report.holds
    assert "the source cannot be loaded here" in report.notes[0]


@pytest.mark.parametrize("content", [None, b"", b"\x08" + b"\0" * 7 + b"{}      "])
def test_what_is_no_recording_is_refused(
    digits_file: Path, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "g.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is no recording of a reference"):
        toolkit.check(digits_file, against=path)
