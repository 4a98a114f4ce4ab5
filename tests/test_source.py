"""Where a model may come from, and what is said when it does not."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests import models
from toolkit.errors import InputError
from toolkit.signature import Signature
from toolkit.source import load

CONTRACT = "x: float32[batch, 4]; where batch = 1..16"
FILE = f"""
from torch import nn

CONTRACT = {CONTRACT!r}

class Model(nn.Linear):
    signature = CONTRACT
    def __init__(self, outputs=3):
        super().__init__(4, outputs)

module = Model().eval()
pair = (nn.Linear(4, 3).eval(), CONTRACT)
training = Model()
silent = nn.Linear(4, 3).eval()
number = 7

def build(outputs=3, name="a"):
    return nn.Linear(4, outputs).eval(), CONTRACT

"""
FAULTY = """from torch import nn
def broken(): raise KeyError("vocabulary")
def misshapen(): return nn.Linear(4, "3"), CONTRACT
def stops(): raise SystemExit(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of models in it."""
    (tmp_path / "m.py").write_text(FILE)
    (tmp_path / "faulty.py").write_text(FAULTY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize(
    ("source", "outputs"),
    [
        ("m.py:module", 3),
        ("m.py:pair", 3),
        ("m.py:Model", 3),
        ("m.py:build", 3),
        ("m.py:build,outputs=5", 5),
        ("m.py:build,outputs=5,name=b", 5),
        ("tests.models:linear", 3),
        ("zoo:cnn,size=8,classes=7", 7),
    ],
)
def test_a_source_is_named_in_text(folder: Path, source: str, outputs: int) -> None:
    model = load(source)
    assert model.signature.outputs[0].shape == ("batch", outputs)
    assert model.origin == source


@pytest.mark.parametrize("read", [lambda text: text, Signature.parse], ids=["text", "read"])
def test_a_module_in_memory_comes_in_a_pair_with_its_signature(read: Any) -> None:
    module, signature = models.linear()
    model = load((module, read(signature)))
    assert (model.origin, model.signature.outputs[0].shape) == ("Linear", ("batch", 3))


def test_a_signature_may_be_an_attribute_of_the_module() -> None:
    module, module.signature = models.linear()
    assert load(module).signature.outputs[0].shape == ("batch", 3)


def test_a_model_that_was_loaded_is_taken_as_it_is() -> None:
    model = load(models.linear())
    assert load(model) is model


def test_the_signature_given_goes_before_the_one_that_comes_with_the_model() -> None:
    model = load(models.linear(), signature="rows: float32[n, 4]; where n = 2..3")
    assert [s.name for s in model.signature.inputs] == ["rows"]


def test_a_recorded_origin_holds_no_folder_and_all_arguments(folder: Path) -> None:
    assert load(f"{folder}/m.py:build,outputs=5").origin == "m.py:build,outputs=5"


def test_a_file_may_import_its_neighbours(folder: Path) -> None:
    (folder / "neighbour_of_net.py").write_text("WIDTH = 4\n")
    (folder / "net.py").write_text(
        "from torch import nn\nfrom neighbour_of_net import WIDTH\n"
        f"model = (nn.Linear(WIDTH, 2).eval(), {CONTRACT!r})\n"
    )
    assert load(f"{folder}/net.py:model").signature.outputs[0].shape == ("batch", 2)


def test_training_mode_is_noted_and_left(folder: Path) -> None:
    model = load("m.py:training")
    assert not model.module.training
    assert model.notes == (
        "the model was in training mode: it is exported and checked in eval mode",
    )


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("m", "'m' does not name a model", "file.py:attribute"),
        ("lost.py:module", "there is no file 'lost.py'", "check the path"),
        ("lost.pt2", "there is no file 'lost.pt2'", "check the path"),
        ("m.py:modle", "'m.py' has no 'modle'", "it has: "),
        ("m.py:number", "'m.py:number' is a int, not a model", "name an nn.Module"),
        ("m.py:silent", "'m.py:silent' has no signature", "--signature"),
        (
            "faulty.py:broken",
            "'faulty.py:broken' raised KeyError: 'vocabulary'",
            "faulty.py line 2",
        ),
        ("faulty.py:misshapen", "'faulty.py:misshapen' raised TypeError", "faulty.py line 3"),
        ("faulty.py:stops", "'faulty.py:stops' raised SystemExit", "faulty.py line 4"),
        ("m.py:build,5", "'5' in 'm.py:build,5' is not an argument", "zoo:cnn,size=8"),
        ("m.py:build,out=5", "raised TypeError: build() got an unexpected", ""),
        ("zoo:cmm", "the zoo has no 'cmm'", "it has: "),
        ("zoo:cnn,sise=8", "zoo:cnn has no argument 'sise'", "size"),
        ("no.such.package:model", "there is no module 'no.such.package'", "is it installed"),
        ("raises.py:model", "importing 'raises.py' raised ZeroDivisionError", "raises.py line 2"),
        ("typo.py:model", "importing 'typo.py' raised SyntaxError", ""),
        ("needs.py:model", "importing 'needs.py' raised ModuleNotFoundError", "needs.py line 1"),
        ("exits.py:model", "importing 'exits.py' raised SystemExit", "exits.py line 1"),
    ],
)
def test_says_why_a_source_cannot_be_loaded(
    folder: Path, source: str, message: str, hint: str
) -> None:
    (folder / "raises.py").write_text("\nmodel = 1 / 0\n")
    (folder / "typo.py").write_text("model = (\n")
    (folder / "needs.py").write_text("import no_such_package\n")
    (folder / "exits.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(InputError) as caught:
        load(source)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_loaded_into_the_model(tmp_path: Path, suffix: str) -> None:
    module, signature = models.linear()
    state = {name: torch.ones_like(t) for name, t in module.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    model = load((module, signature), weights=path)
    assert all((array == 1).all() for array in model.weights().values())
    assert len(model.digest) == 64


GPT = "zoo:gpt,layers=1,width=8,heads=2,positions=8"


@pytest.mark.parametrize(
    "source",
    [f"{GPT},vocabulary=9,part=decoder", f"{GPT},part=decoder,vocabulary=9"],
    ids=["part last", "arguments after it"],
)
def test_a_part_of_a_model_is_named_in_text(source: str) -> None:
    """Its recorded origin names it as well, so that a check finds it again."""
    model = load(source)
    assert model.signature.outputs[0].shape == ("batch", "tokens", 9)
    assert model.origin == f"{GPT},vocabulary=9,part=decoder"
    assert load(model.origin).signature == model.signature


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (f"{GPT},part=encoder", f"'{GPT}' has no part 'encoder'", "it has: decoder"),
        ("zoo:cnn,size=8,part=top", "'zoo:cnn,size=8' has no part 'top'", "leave part= out"),
    ],
)
def test_refuses_a_part_that_the_model_has_not(source: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load(source)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_a_part_gets_its_weights_from_those_of_the_whole_model(tmp_path: Path) -> None:
    state = load(GPT).module.state_dict()
    ones = {name: torch.ones_like(tensor) for name, tensor in state.items()}
    save_file(ones, tmp_path / "whole.safetensors")
    part = load(f"{GPT},part=decoder", weights=tmp_path / "whole.safetensors")
    assert all((array == 1).all() for array in part.weights().values())
    assert len(part.digest) == 64


class Creates:
    """Unpickled, it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[list[str]]]:
        return subprocess.check_call, (["touch", str(self.marker)],)


@pytest.mark.parametrize("write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_code_in_a_weights_file_is_not_run(tmp_path: Path, write: Any) -> None:
    write({"weight": Creates(tmp_path / "marker")}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="is not a state dict that can be read safely"):
        load(models.linear(), weights=tmp_path / "w.pt")
    assert not (tmp_path / "marker").exists()


SQUARE = nn.Linear(4, 4).state_dict()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lost.pt", None, "there is no weights file"),
        ("text.pt", b"weights", "is not a state dict that can be read safely"),
        ("text.safetensors", b"weights", "is not a state dict that can be read safely"),
        ("other.pt", SQUARE, "does not fit the model: size mismatch for weight"),
        ("fewer.pt", {"weight": SQUARE["weight"][:3]}, 'Missing key(s) in state_dict: "bias"'),
        ("list.pt", [1, 2], "does not fit the model"),
    ],
)
def test_refuses_weights_that_do_not_fit(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / name)
    with pytest.raises(InputError) as caught:
        load(models.linear(), weights=tmp_path / name)
    assert message in caught.value.message


def test_a_module_with_example_inputs_gets_a_proposed_signature() -> None:
    model = load((nn.Linear(4, 3), torch.zeros(2, 4)))
    assert model.proposed
    assert str(model.signature).startswith("input: float32[batch, 4]\nwhere batch = 1..64")
    assert [feed["input"].shape for feed in model.examples] == [(2, 4)]
    assert any("'input' has 4 in axis 1 only" in note for note in model.notes)


def test_a_signature_that_is_given_is_not_proposed() -> None:
    model = load((nn.Linear(4, 3), torch.zeros(2, 4)), signature="x: float32[n, 4]; where n = 1..8")
    assert not model.proposed
    assert [feed["x"].shape for feed in model.examples] == [(2, 4)]


def test_examples_come_third_and_give_way_to_those_of_the_caller() -> None:
    source = (nn.Linear(4, 3), "x: float32[n, 4]; where n = 1..8", [torch.zeros(2, 4)])
    assert [feed["x"].shape for feed in load(source).examples] == [(2, 4)]
    assert [feed["x"].shape for feed in load(source, examples=torch.zeros(3, 4)).examples] == [
        (3, 4)
    ]


class Odd(nn.Module):
    """Refuses one mixture of sizes, which no trial is likely to hit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape in ((7, 5), (5, 7)):
            raise ValueError("not these")
        return x


def test_a_proposal_that_does_not_hold_at_other_sizes_is_made_narrower() -> None:
    model = load((Odd(), torch.zeros(3, 4)))
    assert str(model.signature).startswith("x: float32[batch, 4]\nwhere batch = 1..64")
