"""The exporter inside transformers, as a candidate."""

from pathlib import Path

import pytest
import torch

import toolkit
from exporters.huggingface.exporter import Transformers
from tests.exporters.huggingface.conftest import Folder
from toolkit import source
from toolkit.errors import NotApplicable


def test_a_module_of_other_origin_is_not_for_it(tmp_path: Path) -> None:
    model = source.load((torch.nn.Linear(2, 3), "x: float32[n, 2]; where n = 1..4"))
    with pytest.raises(NotApplicable, match="for models of transformers"):
        Transformers().export(model, tmp_path / "m.onnx", opset=20)


def test_an_encoder_comes_out_under_the_names_of_its_signature(
    folder: Folder, tmp_path: Path
) -> None:
    place = f"hf:{folder('bert')},batch=4,tokens=16"
    exported = toolkit.export(place, tmp_path / "m.onnx", exporters=("transformers",), budget=2.0)
    assert exported.report.holds, exported.report.reason
    assert [d.name for d in exported.artifact.inputs] == [
        *("input_ids", "attention_mask", "token_type_ids")
    ]
