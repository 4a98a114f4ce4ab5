"""Cross entropy with every argument, as numbers and as a file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from exporters.rewrites import losses

SHAPES = {"alone": (4,), "rows": (5, 4), "maps": (2, 4, 3, 2)}
REDUCTIONS = {"none": losses.NONE, "mean": losses.MEAN, "sum": losses.SUM}
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.1], dtype=torch.float64)


def scores(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def classes(shape: tuple[int, ...]) -> Tensor:
    count = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    return torch.randint(0, 4, count, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["bare", "weighted"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_pytorch(
    shape: str, reduction: str, weight: Tensor | None, ignored: int, smoothing: float
) -> None:
    logits, target = scores(SHAPES[shape]), classes(SHAPES[shape])
    found = losses.cross_entropy(logits, target, weight, REDUCTIONS[reduction], ignored, smoothing)
    expected = functional.cross_entropy(
        logits,
        target,
        weight,
        reduction=reduction,
        ignore_index=ignored,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["bare", "weighted"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_against_probabilities_is_that_of_pytorch(
    shape: str, reduction: str, weight: Tensor | None, smoothing: float
) -> None:
    logits = scores(SHAPES[shape])
    target = logits.exp().sin().abs()
    found = losses.cross_entropy(logits, target, weight, REDUCTIONS[reduction], -100, smoothing)
    expected = functional.cross_entropy(
        logits, target, weight, reduction=reduction, label_smoothing=smoothing
    )
    torch.testing.assert_close(found, expected)


def test_a_mean_over_nothing_is_not_a_number() -> None:
    logits, target = scores((3, 4)), torch.ones(3, dtype=torch.int64)
    for smoothing in (0.0, 0.1):
        assert losses.cross_entropy(logits, target, None, losses.MEAN, 1, smoothing).isnan()


class EveryLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        weight = WEIGHT.float()
        self.smooth = nn.CrossEntropyLoss(weight, ignore_index=2, label_smoothing=0.2)
        self.soft = nn.CrossEntropyLoss(weight)
        self.negative = nn.NLLLoss(weight, reduction="none")
        chunks = nn.LinearCrossEntropyOptions(batch_chunk_size=2)
        self.chunked, self.each = (
            nn.LinearCrossEntropyLoss(4, 4, reduction=how, options=chunks)
            for how in ("mean", "none")
        )

    def forward(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {
            "smooth": self.smooth(x, target),
            "soft": self.soft(x, (-x).softmax(1)),
            "negative": self.negative(x, target),
            "alone": self.negative(x[0], target[0]),
            "mean of one": self.soft(x[0], target[0]),
            "chunked": self.chunked(x, target),
            "each": self.each(x, target),
        }


def test_a_file_holds_for_any_number_of_samples(tmp_path: Path) -> None:
    signature = """
        x: float32[batch, 4] in -9..9
        target: int64[batch] in {0, 1, 3}
        where batch = 1..8
    """
    made = EveryLoss().eval(), signature
    report = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"]).report
    assert report.holds, report.reason
