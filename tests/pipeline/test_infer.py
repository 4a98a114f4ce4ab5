"""A proposed signature is exported as it is, or made narrower until a file holds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.artifact import open_artifact
from toolkit.errors import InputError, ParityError
from toolkit.model import LoadedModel
from toolkit.parity.reference import Reference
from toolkit.pipeline.infer import announce, settle
from toolkit.progress import Listener
from toolkit.source import load


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 4)

    def forward(self, batch: dict[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
        return {"hidden": self.words(batch["ids"]) * batch["mask"][..., None] * scale}


class Heard(Listener):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def tokens() -> tuple[nn.Module, tuple[dict[str, Tensor], float]]:
    ids = torch.tensor([[1, 19, 3], [0, 2, 5]])
    return Tokens().eval(), ({"ids": ids, "mask": torch.ones(2, 3)}, 2.0)


def test_a_module_and_its_example_become_a_proven_file(tmp_path: Path) -> None:
    heard = Heard()
    module, example = tokens()
    exported = toolkit.export(
        module, tmp_path / "m.onnx", examples=example, budget=2.0, listener=heard
    )
    assert exported.report.holds
    assert str(exported.report.results[0].case) == "batch=2,batch_ids_1=3,fill=given,seed=0"
    text = str(open_artifact(tmp_path / "m.onnx").signature)
    assert text.splitlines() == [
        "batch.ids:  int64[batch, batch_ids_1] in 0..19",
        "batch.mask: float32[batch, batch_ids_1]",
        "where batch = 1..64, batch_ids_1 = 1..64",
        "-> hidden: float32[batch, batch_ids_1, 4]",
    ]
    assert any(text in line for line in heard.lines)


@pytest.fixture
def model() -> LoadedModel:
    return load((nn.Identity(), torch.randn(3, 5)))


def _settled(
    model: LoadedModel, folder: Path, refused: dict[str, Exception], heard: Listener
) -> LoadedModel:
    """Settle with attempts that fail for the signatures in `refused`."""

    def attempt(tried: LoadedModel, reference: Reference, room: Path) -> str:
        assert room.is_dir()
        shape = str(list(tried.signature.inputs[0].shape)) + str(
            [(d.low, d.high) for d in tried.signature.dims]
        )
        if shape in refused:
            raise refused[shape]
        return shape

    out = folder / "m.onnx"
    return settle(model, folder, attempt, log=folder / "log", out=out, listener=heard)[0]


WIDE = "['batch', 'input_1'][(1, 64), (1, 64)]"


def _limited(**limits: list[int]) -> ParityError:
    error = ParityError("no file", "onnxport refused: 'input_1' holds for less (model.py line 3)")
    error.limits = limits
    return error


def test_what_holds_is_taken_as_it_is_proposed(model: LoadedModel, tmp_path: Path) -> None:
    assert _settled(model, tmp_path, {}, Heard()) is model


def test_dimensions_become_as_narrow_as_an_exporter_says(
    model: LoadedModel, tmp_path: Path
) -> None:
    heard = Heard()
    less = _settled(model, tmp_path, {WIDE: _limited(input_1=[2, 8])}, heard)
    assert (less.signature.dim("batch").high, less.signature.dim("input_1").high) == (64, 8)
    assert less.notes[-1].endswith("holds for less (model.py line 3)")
    assert "narrower" in heard.lines[0]


def test_limits_without_the_example_leave_all_but_the_batch_as_shown(
    model: LoadedModel, tmp_path: Path
) -> None:
    less = _settled(model, tmp_path, {WIDE: _limited(input_1=[7, 7])}, Heard())
    assert str(less.signature).startswith("input: float32[batch, 5]\nwhere batch = 1..64")


def test_at_last_all_sizes_are_those_of_the_example(model: LoadedModel, tmp_path: Path) -> None:
    refused = {WIDE: InputError("no"), "['batch', 5][(1, 64)]": InputError("no")}
    less = _settled(model, tmp_path, refused, Heard())
    assert str(less.signature).startswith("input: float32[3, 5]")


def test_what_never_holds_is_raised(model: LoadedModel, tmp_path: Path) -> None:
    last = InputError("never")
    refused = {WIDE: last, "['batch', 5][(1, 64)]": last, "[3, 5][]": last}
    with pytest.raises(InputError, match="never"):
        _settled(model, tmp_path, refused, Heard())


def test_a_signature_that_was_asked_for_is_not_made_narrower(tmp_path: Path) -> None:
    asked = load((nn.Identity(), "x: float32[batch, n]; where batch = 1..64, n = 1..64"))
    refused = {WIDE.replace("input_1", "n"): _limited(n=[2, 8])}
    with pytest.raises(ParityError):
        _settled(asked, tmp_path, refused, Heard())
    heard = Heard()
    announce(asked, heard)
    assert heard.lines == []


def test_data_from_a_file_is_what_is_checked_where_values_come_from_data(tmp_path: Path) -> None:
    signature = "x: float32[n, 3] in data; where n = 1..64"
    example = [(torch.eye(3),)]
    toolkit.export((nn.Softmax(-1), signature, example), tmp_path / "m.onnx", budget=1.0)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((40, 3), np.float32))
    report = toolkit.check(
        tmp_path / "m.onnx", against=nn.Softmax(-1), data=tmp_path / "x.npz", budget=5.0
    )
    assert report.holds
    assert {(r.case.fill, r.case.sizes) for r in report.results} == {
        ("given", (("n", 32),)),
        ("given", (("n", 8),)),
    }
    with pytest.raises(InputError, match="the values of 'x' come from data only"):
        toolkit.check(tmp_path / "m.onnx", against=nn.Softmax(-1))
