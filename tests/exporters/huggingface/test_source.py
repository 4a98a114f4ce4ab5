"""`hf:FOLDER`: models of transformers by folder or by config."""

from pathlib import Path

import pytest
import torch
import transformers

import toolkit
from tests.exporters.huggingface.conftest import Folder
from toolkit import source
from toolkit.errors import InputError


def test_a_config_alone_gets_random_weights_and_says_so(folder: Folder) -> None:
    model = source.load(f"hf:{folder('bert')}")
    assert model.notes == ("the weights are random: there are none beside the config",)
    assert model.origin == "hf:bert"  # no folder of the author's


def test_a_config_may_be_named_as_a_file(folder: Folder) -> None:
    named = source.load(f"hf:{folder('bert') / 'config.json'}")
    assert named.signature == source.load(f"hf:{folder('bert')}").signature


@pytest.mark.parametrize(("one", "other", "same"), [(0, 0, True), (0, 1, False)])
def test_the_seed_decides_random_weights(folder: Folder, one: int, other: int, same: bool) -> None:
    models = [source.load(f"hf:{folder('resnet')},seed={seed}") for seed in (one, other)]
    first, second = ([p.sum().item() for p in m.module.parameters()] for m in models)
    assert (first == second) is same


def test_weights_in_the_folder_are_the_models(tmp_path: Path, folder: Folder) -> None:
    config = transformers.AutoConfig.from_pretrained(folder("bert"))
    original = transformers.BertForMaskedLM(config).eval()
    original.save_pretrained(tmp_path)
    loaded = source.load(f"hf:{tmp_path}")
    ids = torch.arange(10)[None]
    with torch.no_grad():
        found = loaded.module(ids, torch.ones_like(ids), torch.zeros_like(ids))["logits"]
        torch.testing.assert_close(found, original(ids).logits)
    assert loaded.notes == ()


def test_a_head_that_the_folder_has_no_weights_for_is_noted(tmp_path: Path, folder: Folder) -> None:
    config = transformers.AutoConfig.from_pretrained(folder("bert"))
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    (note,) = source.load(f"hf:{tmp_path},task=text-classification").notes
    assert "weights are random, the folder lacks them: " in note


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        ("feature-extraction", ["last_hidden_state", "pooler_output"]),
        ("fill-mask", ["logits"]),
        ("text-classification", ["logits"]),
        ("question-answering", ["start_logits", "end_logits"]),
    ],
)
def test_the_task_decides_the_head(folder: Folder, task: str, outputs: list[str]) -> None:
    model = source.load(f"hf:{folder('bert')},task={task}")
    assert [s.name for s in model.signature.outputs] == outputs


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("hf:no/such/folder", "there is no 'no/such/folder/config.json'"),
        ("hf:{bert},task=telepathy", "there is no task 'telepathy'"),
        ("hf:{bert},task=object-detection", "transformers has no bert for object-detection"),
        ("hf:{bert},colour=red", "got an unexpected keyword argument 'colour'"),
    ],
)
def test_what_cannot_be_loaded_is_explained(folder: Folder, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.")) as caught:
        source.load(place.format(bert=folder("bert")))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["bert", "vit", "wav2vec2"])
def test_an_encoder_exports_and_holds(folder: Folder, tmp_path: Path, name: str) -> None:
    place = f"hf:{folder(name)},batch=4,tokens=16,samples=200"
    exported = toolkit.export(place, tmp_path / "m.onnx", exporters=("onnxport",), budget=2.0)
    assert exported.report.holds, exported.report.reason
