"""The parity check on whole files: wrong ones never pass, right ones always do."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import toolkit
from tests import models
from tests.pipeline.originals import traced, with_attribute, with_weight
from toolkit.errors import InputError, UsageError
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

Trained = tuple[nn.Module, Signature]


@pytest.mark.parametrize("seed", range(3))
def test_an_intact_file_holds_on_every_seed(intact: tuple[nn.Module, Path], seed: int) -> None:
    model, path = intact
    report = toolkit.check(path, against=model, seed=seed, limit=48)
    assert report.holds, report.reason
    assert not report.unreached


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 30))
def test_an_intact_file_holds_on_many_seeds(intact: tuple[nn.Module, Path], seed: int) -> None:
    model, path = intact
    assert toolkit.check(path, against=model, seed=seed).holds


@pytest.mark.parametrize("seed", range(5))
def test_the_digits_cnn_holds_on_every_seed(trained: Trained, digits_file: Path, seed: int) -> None:
    assert toolkit.check(digits_file, against=trained, seed=seed, limit=48).holds


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
def test_catches_a_transformer_encoder_traced_at_batch_1(tmp_path: Path, dynamo: bool) -> None:
    model, signature = models.parsed(models.encoder())
    path = traced(model, signature, {"batch": 1, "tokens": 5}, tmp_path / "m.onnx", dynamo=dynamo)
    report = toolkit.check(path, against=model, signature=signature)
    assert not report.holds
    assert {dict(r.case.sizes)["batch"] for r in report.failures} >= set(range(2, 9))


def test_catches_an_adaptive_pool_with_dynamic_height_and_width(tmp_path: Path) -> None:
    model, signature = models.parsed(models.adaptive_pool())
    sizes = {"batch": 2, "h": 12, "w": 12}
    path = traced(model, signature, sizes, tmp_path / "m.onnx", dynamo=True)
    assert not toolkit.check(path, against=model, signature=signature).holds


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
def test_catches_a_branch_on_a_size(tmp_path: Path, dynamo: bool) -> None:
    model, signature = models.parsed(models.branch())
    path = traced(model, signature, {"batch": 5}, tmp_path / "m.onnx", dynamo=dynamo)
    report = toolkit.check(path, against=model, signature=signature)
    assert {dict(r.case.sizes)["batch"] for r in report.failures} == {1, 2, 3}


@pytest.mark.parametrize(
    ("weight", "index"),
    [
        ("conv.weight", (0, 0, 1, 1)),
        ("conv.weight", (17, 0, 2, 0)),
        ("conv.bias", (5,)),
        ("dense.weight", (3, 200)),
        ("dense.weight", (9, 511)),
        ("dense.bias", (0,)),
    ],
)
def test_catches_one_weight_moved_by_1_percent(
    trained: Trained, digits_file: Path, tmp_path: Path, weight: str, index: tuple[int, ...]
) -> None:
    def moved(array: np.ndarray) -> np.ndarray:
        array[index] *= 1.01
        return array

    path = with_weight(digits_file, tmp_path / "m.onnx", weight, moved)
    report = toolkit.check(path, against=trained, limit=16)
    assert not report.holds
    assert any(f"weight '{weight}' differs" in p for p in report.problems)


def test_a_moved_weight_shows_in_the_cases_too(
    trained: Trained, digits_file: Path, tmp_path: Path
) -> None:
    def moved(array: np.ndarray) -> np.ndarray:
        array[np.unravel_index(np.abs(array).argmax(), array.shape)] *= 1.01
        return array

    path = with_weight(digits_file, tmp_path / "m.onnx", "dense.weight", moved)
    assert toolkit.check(path, against=trained, limit=32).failures


def test_catches_a_changed_epsilon(tmp_path: Path) -> None:
    model, _ = models.normalized()
    toolkit.export(models.normalized(), tmp_path / "m.onnx")
    path = with_attribute(tmp_path / "m.onnx", tmp_path / "e.onnx", "epsilon", 1e-3)
    assert not toolkit.check(path, against=model).holds


def test_catches_a_transposed_square_weight(tmp_path: Path) -> None:
    model, _ = models.square()
    toolkit.export(models.square(), tmp_path / "m.onnx")
    path = with_weight(tmp_path / "m.onnx", tmp_path / "t.onnx", "weight", np.transpose)
    report = toolkit.check(path, against=model)
    blind = {"zeros", "negative-zero", "denormal"}
    assert {r.case.fill for r in report.results if r.proven} == blind


def test_catches_a_length_frozen_into_the_declared_outputs(tmp_path: Path) -> None:
    model, signature = models.parsed(models.recurrent())
    path = traced(model, signature, {"batch": 2, "time": 5}, tmp_path / "m.onnx", dynamo=False)
    proto = onnx.load(str(path))
    shape = proto.graph.output[0].type.tensor_type.shape
    shape.dim[0].dim_value, shape.dim[1].dim_value = 2, 5
    onnx.save(proto, str(path))
    report = toolkit.check(path, against=model, signature=signature)
    assert "is declared [2, 5, 2], comes as" in report.reason


def test_unsigned_outputs_that_wrap_around_differ(tmp_path: Path) -> None:
    class Plus(nn.Module):
        def __init__(self, added: int) -> None:
            super().__init__()
            self.added = added

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.added

    signature = "x: uint8[batch, 4]\nwhere batch = 1..8"
    toolkit.export((Plus(1), signature), tmp_path / "m.onnx")
    assert toolkit.check(tmp_path / "m.onnx", against=Plus(1)).holds
    assert not toolkit.check(tmp_path / "m.onnx", against=Plus(2)).holds


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_became_nan_or_infinite_differs(
    trained: Trained, digits_file: Path, tmp_path: Path, value: float
) -> None:
    path = with_weight(
        digits_file, tmp_path / "m.onnx", "dense.bias", partial(np.full_like, fill_value=value)
    )
    assert not toolkit.check(path, against=trained).holds


def test_a_random_original_is_an_error_that_names_its_module(tmp_path: Path) -> None:
    model, signature = models.random()
    toolkit.export((model.get_submodule("dense"), signature), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"not deterministic.*noise \(Noisy\)"):
        toolkit.check(tmp_path / "m.onnx", against=model)


def test_a_module_in_training_mode_is_checked_in_eval_mode_and_said_and_put_back(
    trained: Trained, digits_file: Path
) -> None:
    model, _ = trained
    model.train()
    try:
        report = toolkit.check(digits_file, against=trained, limit=5)
        assert model.training
    finally:
        model.eval()
    assert report.holds
    assert "was in training mode" in report.notes[0]


def test_a_vacuous_reference_is_refused(tmp_path: Path) -> None:
    class Zeros(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0

    with pytest.raises(toolkit.OnnxportError, match="no file that holds") as caught:
        toolkit.export((Zeros(), "x: float32[n]\nwhere n = 2..9"), tmp_path / "m.onnx")
    assert "vacuous" in caught.value.hint


def test_a_case_reruns_alone(trained: Trained, digits_file: Path) -> None:
    case = "batch=7,fill=zeros,seed=3"
    report = toolkit.check(digits_file, against=trained, case=case)
    assert [str(r.case) for r in report.results] == [case]


def test_an_explicit_tolerance_replaces_the_verdict(
    trained: Trained, digits_file: Path, tmp_path: Path
) -> None:
    path = with_weight(
        digits_file,
        tmp_path / "m.onnx",
        "dense.bias",
        lambda a: a + np.float32(1e-4) * np.eye(10, dtype=np.float32)[0],
    )
    assert not toolkit.check(path, against=trained).holds
    assert toolkit.check(path, against=trained, tolerance=Tolerance(atol=1e-2)).holds


def test_a_file_is_checked_against_another_file(digits_file: Path, tmp_path: Path) -> None:
    changed = with_weight(digits_file, tmp_path / "m.onnx", "dense.weight", lambda a: a * 1.01)
    assert toolkit.check(digits_file, against=digits_file, limit=20).holds
    assert not toolkit.check(changed, against=digits_file, limit=20).holds


def test_the_source_that_a_file_names_is_its_original(tmp_path: Path) -> None:
    toolkit.export("zoo:cnn,size=8", tmp_path / "m.onnx")
    assert toolkit.check(tmp_path / "m.onnx", limit=10).reference == "zoo:cnn,size=8"


def test_a_file_that_names_no_source_asks_for_one(digits_file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        toolkit.check(digits_file)
    assert "--against" in caught.value.hint


def test_outputs_of_other_names_are_matched_by_position_and_said(tmp_path: Path) -> None:
    model, signature = models.parsed(models.linear())
    path = traced(model, signature, {"batch": 5}, tmp_path / "m.onnx", dynamo=False)
    report = toolkit.check(path, against=model, signature=signature)
    assert report.holds
    assert any(n.startswith("matched by position: output is") for n in report.notes)


def test_a_source_that_draws_its_weights_anew_is_told(tmp_path: Path) -> None:
    model, signature = models.linear()
    toolkit.export((model, signature), tmp_path / "m.onnx")
    report = toolkit.check(tmp_path / "m.onnx", against=nn.Linear(4, 3))
    assert not report.holds
    assert report.notes[-1].startswith("all weights are others than the original's")
