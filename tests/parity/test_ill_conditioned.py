"""Where PyTorch itself has lost half of its digits, what lies within that is no difference."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import toolkit
from tests.parity.functions import Computes
from toolkit.parity.cases import Case
from toolkit.parity.judging import ILL_CONDITIONED, Judge
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult, ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

ULP = 2.0**-23


def heard(off: float, width: float) -> CaseResult:
    """A candidate `off` from x - 1 + (w - 100), where w is 100 and x in 1..1+width."""
    signature = Signature.parse(f"x: float32[n] in 1..{1 + width}\nwhere n = 9")
    weight = [100.0]

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(x - 1 + (weight[0] - 100), x.dtype)

    @contextmanager
    def moved(ulps: float, rng: np.random.Generator, together: int) -> Iterator[None]:
        weight[0] *= 1 + ulps * ULP * (together or rng.choice([-1, 1]))
        yield
        weight[0] = 100.0

    wide = Computes(signature, lambda x: function(x.astype(np.float64)))
    reference = Reference(Computes(signature, function), wide, moving=moved)
    case = Case((("n", 9),), "uniform", 0)
    feeds = case.feeds(signature)
    expected = reference.expect(feeds)
    got = {"y": function(feeds["x"]) + np.float32(off)}
    return Judge(reference, Tolerance())(case, feeds, expected, got)


def test_what_one_ulp_of_a_weight_explains_is_told_and_not_counted() -> None:
    result = heard(4 * 100 * ULP, 3e-4)
    assert result.excused == ILL_CONDITIONED
    assert (result.holds, result.proven) == (True, False)


def test_what_it_does_not_explain_differs() -> None:
    assert not heard(20 * 100 * ULP, 3e-4).holds


def test_a_well_conditioned_case_is_held_to_its_input_alone() -> None:
    assert not heard(4 * 100 * ULP, 0.5).holds


def test_a_report_of_nothing_else_does_not_pass() -> None:
    result = heard(4 * 100 * ULP, 3e-4)
    signature = Signature.parse("x: float32[n]; where n = 9")
    report = ParityReport("a", "b", signature, "cpu", (result,))
    assert not report.holds
    assert report.reason.startswith("nothing was proven: ill-conditioned here")
    other = replace(result, excused="", judgements=(replace(result.judgements[0], holds=True),))
    mixed = replace(report, results=(result, other))
    assert mixed.holds
    assert mixed.remarks[0].startswith("a case is not counted: ill-conditioned here")
    assert mixed.to_dict()["excused"] == [{"case": str(result.case), "why": ILL_CONDITIONED}]


class Deep(nn.Module):
    """Convolutions and norms drawn at random: each layer multiplies the noise of the one before."""

    def __init__(self, seed: int, depth: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(8, 8, 3, padding=1), "norm": nn.BatchNorm2d(8)})
            for _ in range(depth)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer["norm"](layer["conv"](x)) if "norm" in layer else layer["conv"](x)
            x = torch.sin(x)
        return x


def folded(model: Deep, change: float = 1.0) -> Deep:
    """The same function with the norms inside the convolutions, in float32: a right rewrite."""
    other = Deep(0, len(model.layers))
    for ours, theirs in zip(model.eval().layers, other.layers, strict=True):
        theirs["conv"] = fuse_conv_bn_eval(ours["conv"], ours["norm"])
        del theirs["norm"]
    with torch.no_grad():
        other.layers[0]["conv"].weight[0, 0, 0, 0] *= change
    return other


SIGNATURE = "x: float32[n, 8, 6, 6] in -1..1; where n = 1..3"


@pytest.mark.parametrize("seed", range(3))
def test_norms_folded_into_an_unstable_model_are_never_called_different(seed: int) -> None:
    model = Deep(seed)
    report = toolkit.check((folded(model), SIGNATURE), against=(model, SIGNATURE), limit=12)
    assert not report.failures


@pytest.mark.parametrize("seed", range(3))
def test_one_weight_of_it_moved_by_1_percent_differs(seed: int) -> None:
    model = Deep(seed)
    wrong = folded(model, 1.01)
    assert toolkit.check((wrong, SIGNATURE), against=(model, SIGNATURE), limit=12).failures


def test_a_model_whose_own_error_is_as_large_as_its_outputs_proves_nothing() -> None:
    model = Deep(0, depth=14)
    report = toolkit.check((folded(model), SIGNATURE), against=(model, SIGNATURE), limit=6)
    assert not report.holds
    assert not report.failures
    assert report.reason.startswith("nothing was proven: ill-conditioned here")
