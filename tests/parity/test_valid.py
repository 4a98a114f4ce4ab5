"""Positions of an output that mean nothing: said in the signature, or recognized."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.errors import InputError
from toolkit.parity.results import ParityReport
from toolkit.parity.valid import kept, positions, valid
from toolkit.signature import Signature

TEXT = """
x: float32[batch, tokens, 4]
mask: int64[batch, tokens] in {0, 1}
where batch = 1..5, tokens = 1..9
"""
SAID = TEXT + "output valid where mask\n"


class Padded(nn.Module):
    """A linear layer; padded rows are `filling`, and real ones are off by `off`."""

    def __init__(self, filling: float, off: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense, self.filling, self.off = nn.Linear(4, 3), filling, off

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        found = self.dense(x) + self.off
        return torch.where(mask[..., None] > 0, found, self.filling)


def check(candidate: Padded, text: str = TEXT) -> ParityReport:
    return toolkit.check((candidate, text), against=(Padded(0.0), text), limit=24)


def test_padding_that_departs_is_recognized_and_the_sentence_to_add_is_told() -> None:
    report = check(Padded(float("nan")))
    assert not report.holds
    assert {r.only_where for r in report.failures} == {"mask"}
    said = "if those positions mean nothing, say so in the signature: output valid where mask"
    assert f"departs only where 'mask' is 0; {said}" in report.remarks


def test_with_it_only_what_means_something_is_compared() -> None:
    report = check(Padded(float("nan")), SAID)
    assert report.holds, report.reason
    assert not report.remarks[0].startswith("departs")


def test_what_is_valid_is_still_compared() -> None:
    report = check(Padded(float("nan"), off=1e-3), SAID)
    assert len(report.failures) > 10


def test_a_failure_elsewhere_is_not_put_on_the_padding() -> None:
    report = check(Padded(0.0, off=1e-3))
    assert "mask" not in {r.only_where for r in report.failures}


def test_a_case_of_padding_alone_proves_nothing() -> None:
    case = "batch=2,tokens=3,fill=zeros,seed=0"
    report = toolkit.check((Padded(1.0), SAID), against=(Padded(0.0), SAID), case=case)
    assert not report.holds
    assert report.results[0].excused == "no position of it means anything"


def test_a_file_carries_what_is_valid(tmp_path: Path) -> None:
    toolkit.export((Padded(0.0), SAID), tmp_path / "m.onnx", budget=1.0)
    assert toolkit.inspect(tmp_path / "m.onnx").artifact.signature.valid == (("output", "mask"),)
    assert toolkit.check(tmp_path / "m.onnx", against=Padded(float("nan")), limit=24).holds


@pytest.mark.parametrize(
    ("axes", "rank", "shape"),
    [
        ((0, 1), 3, (2, 3, 1)),
        ((0, 2), 3, (2, 1, 3)),
        ((2, 0), 4, (3, 1, 2, 1)),
        ((1, 0), 2, (3, 2)),
    ],
)
def test_a_mask_finds_its_axes_in_an_output(
    axes: tuple[int, ...], rank: int, shape: tuple[int, ...]
) -> None:
    mask = np.array([[1, 0, 1], [0, 0, 1]])
    found = positions(mask, axes, rank)
    assert found.shape == shape
    for at in np.ndindex(shape):
        assert found[at] == mask[at[axes[0]], at[axes[1]]]


def test_an_output_of_another_size_is_left_to_the_judge() -> None:
    counted = {"y": np.zeros((2, 3, 1), bool)}
    outputs = {"y": np.ones((2, 4, 5)), "z": np.ones(2)}
    assert kept(outputs, counted)["y"].all()
    assert not kept({"y": np.ones((2, 3, 5))}, counted)["y"].any()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("output valid where x", "cannot be valid where 'x'"),
        ("logits valid where mask", "there is no output 'logits'"),
    ],
)
def test_a_mask_without_a_place_in_the_output_is_refused(line: str, problem: str) -> None:
    signature = Signature.parse(f"{TEXT}-> output: float32[batch, tokens, 3]\n{line}")
    feeds = {"x": np.ones((2, 3, 4), np.float32), "mask": np.ones((2, 3), np.int64)}
    with pytest.raises(InputError, match=problem):
        valid(signature, feeds)
