"""An original that ignores its inputs proves nothing; one idle input is told."""

import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.parity.results import ParityReport


class Ignores(nn.Module):
    """A fixed vector, whatever it is fed."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.arange(4.0) + 0 * x.sum() * 0 + 0 * y.sum()


class Half(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * 2 + 0 * y.mean()


class Places(nn.Module):
    """By the sizes of its inputs alone."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.arange(x.shape[0]) + 0 * x


class Rarely(nn.Module):
    """Only the sign of y matters."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * torch.sign(y)


def report(module: nn.Module) -> ParityReport:
    signature = "x: float32[n] in 0..1; y: float32[n] in -1..1; where n = 1..9"
    return toolkit.check((module, signature), against=(module, signature), limit=12)


def test_no_dependence_on_any_input_is_vacuous_and_does_not_pass() -> None:
    found = report(Ignores())
    assert found.problems == ("vacuous: no input changes what the reference returns",)
    assert not found.holds


def test_one_input_that_changes_nothing_is_told() -> None:
    found = report(Half())
    assert found.holds
    assert "input 'y' changes nothing, though it is read" in found.notes


def test_what_follows_the_sizes_alone_is_told_and_passes() -> None:
    found = report(Places())
    assert found.holds
    assert "no input changes what the reference returns" in found.notes


def test_what_only_large_numbers_change_is_not_vacuous() -> None:
    pair = (nn.Hardshrink(9.0), "x: float32[4]")
    found = toolkit.check(pair, against=pair)
    assert found.holds, found.reason


class Equal(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x == y


def test_what_two_random_numbers_never_show_is_not_vacuous() -> None:
    pair = (Equal(), "x: float32[3]; y: float32[3]")
    found = toolkit.check(pair, against=pair)
    assert found.holds, found.reason
    assert not [n for n in found.notes if "changes" in n]


def test_an_input_of_which_there_is_one_example_is_not_accused() -> None:
    pair = (nn.Linear(2, 3), "input: float32[n, 2] in data; where n = 1..9")
    found = toolkit.check(pair, against=pair, examples={"input": torch.ones(4, 2)})
    assert found.holds, found.reason


@pytest.mark.parametrize("module", [Rarely(), nn.Bilinear(1, 1, 1)])
def test_inputs_that_matter_are_not_mentioned(module: nn.Module) -> None:
    if isinstance(module, nn.Bilinear):
        signature = "input1: float32[n, 1]; input2: float32[n, 1]; where n = 1..9"
        found = toolkit.check((module, signature), against=(module, signature), limit=12)
    else:
        found = report(module)
    assert found.holds
    assert not [n for n in found.notes if "changes" in n]


def test_a_single_case_of_zeros_accuses_nobody() -> None:
    signature = "x: float32[n, 2]; where n = 1..9"
    pair = (nn.Linear(2, 3), signature)
    found = toolkit.check(pair, against=pair, case="n=3,fill=zeros,seed=0")
    assert found.holds, found.reason


@pytest.mark.parametrize("dtype", ["bfloat16", "bool", "int64"])
def test_values_of_any_type_are_seen_to_vary(dtype: str) -> None:
    pair = (nn.Identity(), f"input: {dtype}[n, 2]; where n = 0..9")
    found = toolkit.check(pair, against=pair)
    assert found.holds, found.reason
    assert not [n for n in found.notes if "changes" in n]
