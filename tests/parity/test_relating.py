"""Does a candidate keep what its original keeps: rows, padding, state?"""

import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit import plugins, source
from toolkit.parity.cases import Case
from toolkit.parity.judging import Judge
from toolkit.parity.relating import relate
from toolkit.parity.results import CaseResult, Invariance
from toolkit.parity.verdict import Judgement, Tolerance
from toolkit.pipeline.references import reference_model

MASKED = """
    x: float32[batch, tokens, 3] in -1..1
    mask: int64[batch, tokens] in {0, 1}
    where batch = 1..8, tokens = 1..9
"""
STEPS = """
    x: float32[batch, time, 3] in -1..1
    h: float32[batch, 5] in -1..1
    where batch = 1..8, time = 1..12
    -> y: float32[batch, time, 5]
    -> last: float32[batch, 5]
    last feeds h
"""


class Mean(nn.Module):
    """Of the rows that a mask keeps, or wrongly of all; perhaps less what all texts have alike."""

    def __init__(self, masked: bool = True, centred: bool = False, rounded: bool = False) -> None:
        super().__init__()
        self.masked, self.centred, self.rounded = masked, centred, rounded

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.rounded:  # as dynamic int8 does: in steps of the largest number of the batch
            step = x.abs().max() / 127
            x = (x / step).round() * step
        weights = mask[..., None].to(x) if self.masked else torch.ones_like(x[..., :1])
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1)
        return mean - mean.mean(0) if self.centred else mean


class Steps(nn.Module):
    """A recurrence, that may forget to hand its state on."""

    def __init__(self, forgets: bool = False) -> None:
        super().__init__()
        self.gru, self.forgets = nn.GRU(3, 5, batch_first=True), forgets

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        y, last = self.gru(x, h[None])
        return y, h if self.forgets else last[0]


def asked(
    original: nn.Module, candidate: nn.Module, text: str, case: str, *, lossy: bool = False
) -> dict[str, Invariance]:
    torch.manual_seed(0)
    candidate.load_state_dict(original.state_dict())
    first, second = (source.load((m.eval(), text)) for m in (original, candidate))
    reference = reference_model(first)
    session = plugins.runtime("pytorch").load(second, "cpu")
    proven = CaseResult(Case.parse(case, first.signature), (Judgement("y", True),))
    found = relate(
        session,
        reference,
        Judge(reference, Tolerance()),
        [proven],
        lossy=lossy,
        seconds=60.0,
    )
    return {i.name: i for i in found}


def test_a_right_candidate_keeps_all_of_it() -> None:
    found = asked(Mean(), Mean(), MASKED, "batch=3,tokens=5")
    assert {n: (i.tried, i.reason) for n, i in found.items()} == {
        "batch": (2, ""),
        "padding": (2, ""),
    }
    assert asked(Steps(), Steps(), STEPS, "batch=3,time=6")["state"].tried == 3


@pytest.mark.parametrize(
    ("original", "candidate", "text", "case", "name", "reason"),
    [
        (
            Mean(),
            Mean(centred=True),
            MASKED,
            "batch=3,tokens=5",
            "batch",
            "row 0 alone and beside 2 others: 'output' is",
        ),
        (
            Mean(),
            Mean(masked=False),
            MASKED,
            "batch=3,tokens=5",
            "padding",
            "1 masked positions after 5 tokens: 'output' is",
        ),
        (
            Steps(),
            Steps(forgets=True),
            STEPS,
            "batch=3,time=6",
            "state",
            "6 time in one run and in 2: 'y' is",
        ),
    ],
    ids=["batch", "padding", "state"],
)
def test_a_wrong_one_is_told_how_it_was_asked(
    original: nn.Module, candidate: nn.Module, text: str, case: str, name: str, reason: str
) -> None:
    found = asked(original, candidate, text, case)[name]
    assert found.reason.startswith(reason)
    assert found.reason.endswith(f"({case},fill=uniform,seed=0)")


def test_what_the_original_lacks_is_not_asked_of_the_candidate() -> None:
    found = asked(Mean(centred=True), Mean(centred=True), MASKED, "batch=3,tokens=5")["batch"]
    assert (found.tried, found.lacking, found.reason) == (0, 2, "")


def test_a_lossy_candidate_is_told_its_noise() -> None:
    found = asked(Mean(), Mean(rounded=True), MASKED, "batch=3,tokens=5", lossy=True)["batch"]
    assert 30 < found.sqnr < 60
    assert not found.reason
    assert str(found) == f"batch (2 asked, to {found.sqnr:.0f} dB)"


def test_a_check_says_what_is_kept_and_what_the_original_lacks() -> None:
    model = Mean(centred=True).eval()
    report = toolkit.check(model, against=model, signature=MASKED, budget=2.0)
    assert report.holds
    assert "rows of the original depend on those beside them" in report.remarks
    (kept,) = (i for i in report.invariances if i.tried)
    assert kept.name == "padding"
    assert report.to_dict()["invariances"][0]["name"] == "batch"
