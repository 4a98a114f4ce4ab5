"""CTC loss: the numbers of PyTorch, and a file for any number of steps and labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from exporters.rewrites import ctc

LABELS = torch.tensor([[1, 1, 2], [3, 9, 9], [2, 4, 2], [1, 2, 9]])
"""Beyond a row's count is anything."""
COUNTS = torch.tensor([3, 0, 3, 2])
STEPS = torch.tensor([7, 5, 3, 6])
ROWS = torch.cat([row[:count] for row, count in zip(LABELS, COUNTS.tolist(), strict=True)])


@pytest.fixture
def log_probs(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    def count_to(n: int, step: Callable[..., Any], start: Any) -> Any:
        for k in range(n):
            start = step(torch.tensor(k), *start)
        return start

    monkeypatch.setattr(ctc, "count_to", count_to)  # the loop itself is tested by the file
    generator = torch.Generator().manual_seed(0)
    return torch.randn(7, 4, 5, generator=generator, dtype=torch.float64).log_softmax(2)


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    ("labels", "steps", "counts"),
    [
        (LABELS, STEPS, COUNTS),
        (ROWS, STEPS, COUNTS),
        (ROWS, STEPS.tolist(), COUNTS.tolist()),
        (LABELS, torch.tensor([0, 0, 7, 1]), COUNTS),
    ],
    ids=["padded", "in a row", "numbers", "too short"],
)
def test_the_loss_is_that_of_pytorch(
    log_probs: Tensor, labels: Tensor, steps: Any, counts: Any, reduction: str, zeroed: bool
) -> None:
    arguments = (log_probs, labels, steps, counts, 0, reduction, zeroed)
    torch.testing.assert_close(ctc.ctc_loss(*arguments), functional.ctc_loss(*arguments))


def test_a_lone_sample_has_a_lone_loss(log_probs: Tensor) -> None:
    arguments = (log_probs[:, 0], LABELS[0], STEPS[0], COUNTS[0], 4, "none")
    torch.testing.assert_close(ctc.ctc_loss(*arguments), functional.ctc_loss(*arguments))


class Losses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.each = nn.CTCLoss(reduction="none")
        self.mean = nn.CTCLoss(zero_infinity=True)

    def forward(
        self, x: Tensor, labels: Tensor, steps: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        steps, counts = steps.clamp(max=x.shape[0]), counts.clamp(max=labels.shape[1])
        arguments = (x.log_softmax(2), labels, steps, counts)
        return self.each(*arguments), self.mean(*arguments)


def test_a_file_holds_for_any_time_batch_and_labels(tmp_path: Path) -> None:
    signature = """
        x: float32[time, batch, 5] in -9..9
        labels: int64[batch, longest] in 1..4
        steps: int64[batch] in 1..12
        counts: int64[batch] in 0..6
        where time = 1..12, batch = 1..5, longest = 1..6
    """
    made = Losses().eval(), signature
    report = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"]).report
    assert report.holds, report.reason
