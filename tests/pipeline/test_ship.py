"""All of it: a folder with the verified model, the int8 one where it pays, and the evidence."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import toolkit
from tests import models
from toolkit.errors import InputError, ParityError
from toolkit.pipeline.ship import Bundle
from toolkit.plugins import Session
from toolkit.signature import Signature


@pytest.fixture(scope="module")
def bundle(
    trained: tuple[nn.Module, Signature],
    images: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    def mean_of_class_0(session: Session) -> float:
        return float(session.run({"pixels": images[:60]})["probabilities"][:, 0].mean())

    out = tmp_path_factory.mktemp("ship") / "bundle"
    return toolkit.ship(trained, out, data={"pixels": images}, metric=mean_of_class_0, budget=1.0)


def manifest(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle.path / "manifest.json").read_text())
    return found


def test_the_folder_holds_the_model_its_evidence_and_the_log(bundle: Bundle) -> None:
    names = {p.name for p in bundle.path.iterdir()}
    evidence = {"manifest.json", "golden.safetensors", "export.log", "report.html"}
    assert names - {"model.int8.onnx"} == {"model.onnx", *evidence}


def test_a_bundle_is_checked_against_what_it_recorded_of_the_original(bundle: Bundle) -> None:
    report = toolkit.check(bundle.path, against=bundle.path / "golden.safetensors")
    assert report.holds, report.reason
    assert report.results


def test_int8_is_in_the_bundle_only_where_it_is_not_slower(bundle: Bundle) -> None:
    fastest = min((q for q in bundle.quantized if q.within_budget), key=lambda q: q.ratio)
    assert (bundle.path / "model.int8.onnx").exists() == (fastest.ratio <= 1)
    sentence = "takes" if fastest.ratio > 1 else "as fast as float32"
    assert sentence in bundle.verdict


def test_the_manifest_names_every_file_by_its_hash(bundle: Bundle) -> None:
    files = manifest(bundle)["files"]
    assert isinstance(files, dict)
    for path in bundle.path.iterdir():
        if path.name != "manifest.json":
            assert files[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_says_what_was_tried_and_how_the_proof_came_out(bundle: Bundle) -> None:
    found = manifest(bundle)
    assert [a["outcome"] for a in found["export"]][-1] == "holds"
    assert found["parity"]["holds"] is True
    assert set(found["int8"]["tried"]) == {"static", "dynamic"}
    assert set(found["metrics"]) == {"pytorch", "float32", "int8"}


def test_the_page_shows_both_files_and_what_was_tried(bundle: Bundle) -> None:
    text = (bundle.path / "report.html").read_text(encoding="utf-8")
    assert all(tried.scheme in text for tried in bundle.quantized)
    for told in (
        "bundle holds",
        "<h3>float32</h3>",
        "<h3>int8</h3>",
        "onnxsim",
        "Time against PyTorch",
    ):
        assert told in text


def test_the_metric_agrees_between_pytorch_and_float32(bundle: Bundle) -> None:
    assert bundle.metrics["float32"] == pytest.approx(bundle.metrics["pytorch"], abs=1e-6)


def test_a_bundle_is_loaded_and_checked_by_its_folder(
    bundle: Bundle, trained: tuple[nn.Module, Signature], images: np.ndarray
) -> None:
    session = toolkit.load(bundle.path, device="cpu")
    assert session.run({"pixels": images[:3]})["probabilities"].shape == (3, 10)
    assert toolkit.check(bundle.path, against=trained, limit=10).holds


def test_a_model_without_products_gets_no_int8_and_the_reason(tmp_path: Path) -> None:
    made = toolkit.ship(models.unsigned(), tmp_path / "b", budget=0.5)
    assert made.int8 is None
    assert made.verdict.startswith("no int8 file: the graph has no convolution")


def test_a_bundle_replaces_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text("{}")
    (tmp_path / "b" / "stale").write_text("from before")
    toolkit.ship(models.unsigned(), tmp_path / "b", budget=0.5)
    assert not (tmp_path / "b" / "stale").exists()


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is not a bundle"):
        toolkit.ship(models.unsigned(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_refused_model_leaves_the_log_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"all of it is in b\.log"):
        toolkit.ship(models.lookup(), tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b.log"]
