"""Any two subjects beside each other, and what a failure leaves to replay it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.errors import InputError, UsageError

SIGNATURE = "x: float32[n, 4]; where n = 1..9"


class Steps(nn.Module):
    """x W, then 1 more wherever it exceeds `above`."""

    def __init__(self, above: float) -> None:
        super().__init__()
        self.above = above
        self.weight = nn.Parameter(torch.eye(4))

    def forward(self, x: Tensor) -> Tensor:
        found = x @ self.weight
        return found + (found > self.above)


class Refactored(Steps):
    def forward(self, x: Tensor) -> Tensor:
        found = torch.einsum("ni,ij->nj", x, self.weight)
        return torch.where(found > self.above, found + 1, found)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("steps") / "m.onnx"
    toolkit.export((Steps(1.0), SIGNATURE), path, budget=1.0)
    return path


def test_a_refactored_module_holds_against_the_one_before() -> None:
    report = toolkit.check((Refactored(1.0), SIGNATURE), against=(Steps(1.0), SIGNATURE))
    assert report.holds, report.reason
    assert report.reason == ""


def test_a_module_that_does_something_else_differs_at_the_simplest_input() -> None:
    report = toolkit.check((Steps(0.5), SIGNATURE), against=(Steps(1.0), SIGNATURE))
    assert not report.holds
    assert report.smallest is not None
    assert str(report.smallest.case) == "n=1,fill=zeros,seed=0,x[...]=1"


def test_a_file_is_checked_on_another_runtime_against_itself(file: Path) -> None:
    report = toolkit.check(file, against=file, against_runtime="reference", limit=24)
    assert report.holds, report.reason
    assert report.reference == "m.onnx (reference)"


def test_a_file_on_another_runtime_is_checked_against_its_source(file: Path) -> None:
    report = toolkit.check(file, against=Steps(1.0), runtime="reference", limit=24)
    assert report.holds
    assert report.candidate == "m.onnx (reference)"


def test_a_runtime_of_files_runs_no_module(file: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime runs no PyTorch source"):
        toolkit.check(file, against=Steps(1.0), against_runtime="onnxruntime")


def test_a_failure_is_saved_and_replays_exactly(file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "failure.npz"
    report = toolkit.check(file, against=Steps(0.5), save=saved, limit=12)
    assert report.smallest is not None
    by_file = toolkit.check(file, against=Steps(0.5), case=str(saved))
    by_text = toolkit.check(file, against=Steps(0.5), case=str(report.smallest.case))
    assert len(by_file.failures) == len(by_text.failures) == 1
    assert by_file.failures[0].judgements == by_text.failures[0].judgements
    assert by_file.failures[0].reason == report.smallest.reason
    assert by_file.to_dict()["failures"][0]["case"] == str(saved)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive"])
def test_a_damaged_case_is_refused(content: bytes, file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "case.npz"
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="is not an array file"):
        toolkit.check(file, against=Steps(1.0), case=str(damaged))


def test_nothing_is_saved_where_all_holds(file: Path, tmp_path: Path) -> None:
    assert toolkit.check(file, against=Steps(1.0), save=tmp_path / "f.npz", limit=4).holds
    assert not (tmp_path / "f.npz").exists()


def test_the_same_seed_gives_the_same_report(file: Path) -> None:
    reports = [toolkit.check(file, against=Steps(0.5), seed=3, limit=12) for _ in range(2)]
    assert reports[0].to_dict() == reports[1].to_dict()


def test_a_number_for_nan_is_found_between_two_modules() -> None:
    class Imputed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nan_to_num(x)

    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(min=torch.finfo(x.dtype).min, max=torch.finfo(x.dtype).max)

    report = toolkit.check((Plain(), SIGNATURE), against=(Imputed(), SIGNATURE))
    assert {r.case.fill for r in report.failures} == {"nan"}
    assert np.isnan(float(report.failures[0].reason.split()[2].rstrip(",")))


def test_several_subjects_are_held_against_each_other(file: Path, tmp_path: Path) -> None:
    other = (Steps(0.5), SIGNATURE)
    matrix = toolkit.check_all([(Steps(1.0), SIGNATURE), file, other, file], limit=12)
    assert matrix.groups == [[0, 1, 3], [2]]
    assert not matrix.holds
    assert set(matrix.reports) == {(1, 0), (2, 0), (3, 0), (1, 2), (3, 1), (3, 2)}
    assert [p["holds"] for p in matrix.to_dict()["pairs"]] == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
