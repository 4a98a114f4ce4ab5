"""Export: exporters in turn until a file holds over the whole signature."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import toolkit
from tests import models
from toolkit.errors import InputError, ParityError
from toolkit.parity.pacing import ENOUGH
from toolkit.progress import Listener


class Heard(Listener):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_the_file_runs_in_plain_onnxruntime_at_any_size(tmp_path: Path) -> None:
    model, _ = models.encoder()
    toolkit.export(models.encoder(), tmp_path / "m.onnx", budget=2.0)
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((3, 17, 16)).astype(np.float32)
    (found,) = session.run(None, {"x": x})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), atol=1e-5)


def test_the_file_is_valid_onnx_and_declares_the_dimensions_by_name(tmp_path: Path) -> None:
    toolkit.export(models.tokens(), tmp_path / "m.onnx", budget=2.0)
    proto = onnx.load(str(tmp_path / "m.onnx"))
    onnx.checker.check_model(proto, full_check=True)
    values = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*proto.graph.input, *proto.graph.output)
    }
    assert values == {
        "ids": ["batch", "tokens"],
        "mask": ["batch", "tokens"],
        "logits": ["batch", "tokens", 20],
        "best": ["batch", "tokens"],
    }


def test_the_file_carries_signature_and_provenance_and_no_path_of_the_author(
    tmp_path: Path,
) -> None:
    exported = toolkit.export("zoo:cnn,size=8", tmp_path / "m.onnx", budget=2.0)
    again = toolkit.inspect(tmp_path / "m.onnx").artifact
    assert again.signature == exported.artifact.signature
    assert again.provenance.source == "zoo:cnn,size=8"
    assert again.provenance.exporter == "onnxport"
    raw = (tmp_path / "m.onnx").read_bytes()
    for place in (tmp_path, Path(torch.__file__).parent, Path(toolkit.__file__).parent):
        assert str(place).encode() not in raw


def test_what_one_exporter_refuses_comes_out_by_the_next_and_says_why(tmp_path: Path) -> None:
    heard = Heard()
    exported = toolkit.export(
        models.recurrent(),
        tmp_path / "m.onnx",
        exporters=["dynamo", "torchscript"],
        budget=2.0,
        listener=heard,
    )
    assert [(a.exporter, a.outcome) for a in exported.attempts] == [
        ("dynamo", "refused"),
        ("torchscript", "holds"),
    ]
    assert heard.said[0].startswith("dynamo refused: ")


def test_a_recurrent_model_comes_out_by_the_exporter_for_those(tmp_path: Path) -> None:
    exported = toolkit.export(models.recurrent(), tmp_path / "m.onnx", budget=2.0)
    assert [(a.exporter, a.outcome) for a in exported.attempts] == [("onnxport", "holds")]


def test_one_exporter_only(tmp_path: Path) -> None:
    exported = toolkit.export(
        models.linear(), tmp_path / "m.onnx", exporters=["torchscript"], budget=2.0
    )
    assert exported.artifact.provenance.exporter == "torchscript"


def test_a_model_that_no_exporter_gets_right_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="no file that holds over the whole signature"):
        toolkit.export(models.lookup(), tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx.log"]


def test_the_refusal_names_dimension_limit_and_source_line(tmp_path: Path) -> None:
    with pytest.raises(ParityError) as caught:
        toolkit.export(models.lookup(), tmp_path / "m.onnx")
    assert "'batch' is declared 1..16, the traced program holds for 4..16" in caught.value.hint
    assert "models.py line" in caught.value.hint
    assert "return (x + 1, x * 2)[bool(x.shape[0] > 3)]" in caught.value.hint


def test_the_refusal_quotes_the_first_that_wrote_a_file_or_has_advice(tmp_path: Path) -> None:
    with pytest.raises(ParityError) as caught:
        toolkit.export(models.lookup(), tmp_path / "m.onnx", exporters=["torchscript", "dynamo"])
    assert caught.value.hint.startswith("torchscript differs: ")


def test_a_refused_export_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("old")
    with pytest.raises(ParityError):
        toolkit.export(models.lookup(), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "old"


def test_a_signature_that_the_model_does_not_keep_is_refused(tmp_path: Path) -> None:
    model, _ = models.linear()
    with pytest.raises(InputError, match="PyTorch itself refuses"):
        toolkit.export((model, "x: float32[batch, 5]\nwhere batch = 1..4"), tmp_path / "m.onnx")


def test_weights_of_a_factory_are_loaded_and_their_digest_kept(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model, _ = toolkit.source.load("zoo:cnn,size=8"), None
    state = {n: t * 2 for n, t in model.module.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    exported = toolkit.export(
        "zoo:cnn,size=8", tmp_path / "m.onnx", weights=tmp_path / "w.safetensors", budget=2.0
    )
    weights = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load(str(tmp_path / "m.onnx")).graph.initializer
    }
    np.testing.assert_array_equal(weights["dense.bias"], state["dense.bias"].numpy())
    assert len(exported.artifact.provenance.weights) == 64


def test_the_most_telling_cases_run_where_no_budget_is_given(tmp_path: Path) -> None:
    exported = toolkit.export(models.linear(), tmp_path / "m.onnx")
    assert len(exported.report.results) >= ENOUGH


def test_what_was_tried_is_json(tmp_path: Path) -> None:
    from dataclasses import asdict

    exported = toolkit.export(models.linear(), tmp_path / "m.onnx", budget=2.0)
    assert json.dumps([asdict(a) for a in exported.attempts] + [exported.report.to_dict()])


def test_the_callers_module_keeps_its_modes(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    model[0].eval()
    toolkit.export((model, "x: float32[n, 4]\nwhere n = 1..8"), tmp_path / "m.onnx", budget=2.0)
    assert [m.training for m in model.modules()] == [True, False, True]
