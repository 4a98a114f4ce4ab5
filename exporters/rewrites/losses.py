"""Cross entropy and negative log likelihood with every argument that they have.

torch's exporter writes aten.cross_entropy_loss as SoftmaxCrossEntropyLoss, which knows class
indices only (probabilities make a file that does not load) and drops `label_smoothing` silently;
NLLLoss over a lone sample has no node, and the chunked kernels of LinearCrossEntropyLoss are
operators that it has never heard of. The formulas are those of ATen's LossNLL.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import linear_cross_entropy  # noqa: F401  (it defines the two operators)

from exporters.rewrites import Family

NONE, MEAN, SUM = 0, 1, 2
"""ATen's numbers of the reductions."""


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = MEAN,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Logits [classes] or [n, classes, ...]; as many axes in `target` are probabilities."""
    log_probs = logits.log_softmax(_class_axis(logits))
    if target.dim() == logits.dim():
        return _against_probabilities(log_probs, target, weight, reduction, label_smoothing)
    loss = nll(log_probs, target, weight, reduction, ignore_index)
    if not label_smoothing:
        return loss
    classes = logits.shape[_class_axis(logits)]
    smooth = -_weighted(log_probs, weight).sum(_class_axis(logits))
    spread = _reduced(smooth, target, weight, reduction, ignore_index)
    return (1 - label_smoothing) * loss + spread * (label_smoothing / classes)


def nll(
    log_probs: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = MEAN,
    ignore_index: int = -100,
) -> Tensor:
    """Log probabilities as `cross_entropy` has logits, against class indices."""
    axis = _class_axis(log_probs)
    classes = _counted(target, ignore_index).unsqueeze(axis)
    chosen = -_weighted(log_probs, weight).gather(axis, classes).squeeze(axis)
    return _reduced(chosen, target, weight, reduction, ignore_index)


def _against_probabilities(
    log_probs: Tensor, target: Tensor, weight: Tensor | None, reduction: int, smoothing: float
) -> Tensor:
    axis = _class_axis(log_probs)
    classes = log_probs.shape[axis]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    loss = -(_weighted(log_probs, weight) * target).sum(axis)
    if reduction == NONE:
        return loss
    # The mean is over samples: the weights of probabilities are not counted.
    return loss.sum() if reduction == SUM else loss.sum() / loss.numel()


def _class_axis(scores: Tensor) -> int:
    return 0 if scores.dim() == 1 else 1


def _counted(target: Tensor, ignore_index: int) -> Tensor:
    """Class 0, which every model has, where the target says that it does not count."""
    return torch.where(target == ignore_index, 0, target).to(torch.int64)


def _weighted(scores: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return scores
    axes = [-1 if axis == _class_axis(scores) else 1 for axis in range(scores.dim())]
    return scores * weight.reshape(axes)


def _reduced(
    losses: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> Tensor:
    """Losses of the shape of `target`; a mean is over the weights of what counts."""
    ignored = target == ignore_index
    losses = torch.where(ignored, 0.0, losses)
    if reduction == NONE:
        return losses
    if reduction == SUM:
        return losses.sum()
    counts = (~ignored).to(losses.dtype)
    if weight is not None:
        # Not by []: of a lone sample's class torch asks for the number.
        counts = counts * weight.take(_counted(target, ignore_index))
    return losses.sum() / counts.sum()


_REDUCTIONS = {"none": NONE, "mean": MEAN, "sum": SUM}


def _linear_reduced(
    input: Tensor,  # noqa: A002
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """In chunks to save memory in training; the gradients beside the loss are for that alone."""
    logits = torch.nn.functional.linear(input, linear_weight, linear_bias)
    how = _REDUCTIONS[reduction]
    loss = cross_entropy(logits, target, weight, how, ignore_index, label_smoothing)
    none = input.new_zeros(0, 0)
    return loss, none, none, input.new_zeros(0)


def _linear_each(
    input: Tensor,  # noqa: A002
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    weight: Tensor | None,
    ignore_index: int,
    *_: object,
) -> Tensor:
    logits = torch.nn.functional.linear(input, linear_weight, linear_bias)
    return cross_entropy(logits, target, weight, NONE, ignore_index)


@contextmanager
def _tracing(_: torch.nn.Module) -> Iterator[None]:
    """Chunks for one sample: their size is checked to be a number, and nothing here needs it."""
    options: Any = torch.nn.LinearCrossEntropyOptions
    own = options._adjust

    def adjusted(self: Any, num_batches: object, *rest: Any, **named: Any) -> Any:
        return own(self, 1, *rest, **named)

    options._adjust = adjusted
    try:
        yield
    finally:
        options._adjust = own


_aten, _torch_nn = torch.ops.aten, torch.ops.torch_nn

FAMILY = Family(
    "losses",
    tracing=_tracing,
    decompositions={
        _aten.cross_entropy_loss.default: cross_entropy,
        _aten.nll_loss_nd.default: nll,
        _aten.nll_loss.default: nll,
        _aten.nll_loss2d.default: nll,
        _torch_nn._linear_cross_entropy_batch_chunked.default: _linear_reduced,
        _torch_nn._linear_cross_entropy_batch_chunked_no_reduction.default: _linear_each,
    },
)
