"""The check of a bundle that writes sequences: each graph, and what they write together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import toolkit
from toolkit import source
from toolkit.errors import InputError
from toolkit.pipeline.check_sequence import is_sequence_bundle

SOURCE = "zoo:gpt,layers=1,width=16,heads=2,vocabulary=20,positions=12"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sequence") / "bundle"
    return toolkit.ship_sequence(SOURCE, out, budget=0.1).path


def test_a_right_bundle_holds_and_its_logits_do_not_drift(bundle: Path) -> None:
    report = toolkit.check_sequence(bundle, budget=1.0)
    assert report.holds
    (decoder,) = report.parts.values()
    assert {i.name for i in decoder.invariances if i.tried} >= {"batch", "state"}
    float32 = report.writings[0]
    assert (float32.subject, float32.equal) == ("float32", float32.rows)
    assert len(float32.drift) > 1
    assert max(float32.drift) < 8
    assert report.to_dict()["writing"][0]["drift"] == float32.drift


def test_other_weights_write_other_words(bundle: Path, tmp_path: Path) -> None:
    model = source.load(SOURCE).module
    state = {
        n: p + torch.randn_like(p) for n, p in model.state_dict().items() if p.is_floating_point()
    }
    save_file(state, tmp_path / "w.safetensors")
    report = toolkit.check_sequence(bundle, weights=tmp_path / "w.safetensors", budget=0.5)
    assert not report.holds
    assert report.exit_code == 1
    assert report.problem.startswith("the bundle writes [")


def test_a_bundle_of_one_graph_writes_nothing(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle / "decoder", tmp_path / "one")
    assert is_sequence_bundle(bundle)
    assert not is_sequence_bundle(tmp_path / "one")
    with pytest.raises(InputError, match="not the bundle of a model that writes sequences"):
        toolkit.check_sequence(tmp_path / "one")
