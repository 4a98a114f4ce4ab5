"""CTC loss as a loop over time.

torch.export refuses it before there is an operator: the result of aten._ctc_loss has a shape that
depends on values. The forward variables are those of Graves et al. 2006, in logarithms: alpha[s] of
a row is the probability of all paths that have emitted the first s of blank, label, blank, label...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing
from exporters.rewrites.loops import count_to

_REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str | int = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Of log probabilities [time, batch, classes] or [time, classes]; see torch.nn.CTCLoss."""
    alone = log_probs.dim() == 2
    if alone:
        log_probs, targets = log_probs.unsqueeze(1), targets.reshape(1, -1)
    steps = _lengths(input_lengths)
    counts = _lengths(target_lengths)
    labels = targets if targets.dim() == 2 else _one_a_row(targets, target_lengths, counts)
    losses = _losses(log_probs, _only(labels, counts, blank), steps, counts, blank)
    if zero_infinity:
        losses = torch.where(losses == torch.inf, 0.0, losses)
    how = _REDUCTIONS.get(reduction, reduction) if isinstance(reduction, int) else reduction
    if how == "mean":
        return (losses / counts.clamp(min=1).to(losses.dtype)).mean()
    if how == "sum":
        return losses.sum()
    return losses.squeeze(0) if alone else losses


def _lengths(given: Tensor | Sequence[int]) -> Tensor:
    return torch.as_tensor(given).to(torch.int64).reshape(-1)


def _one_a_row(targets: Tensor, given: Any, counts: Tensor) -> Tensor:
    """Labels of all rows one after the other as [batch, longest]; without numbers, all may be."""
    numbers = not isinstance(given, Tensor)
    longest = max(given) if numbers else targets.shape[0]
    starts = counts.cumsum(0) - counts
    places = starts[:, None] + torch.arange(longest)
    return targets[places.clamp(max=targets.shape[0] - 1)]


def _only(labels: Tensor, counts: Tensor, blank: int) -> Tensor:
    """What stands beyond a row's labels may be anything: blanks."""
    counted = torch.arange(labels.shape[1]) < counts[:, None]
    return torch.where(counted, labels.to(torch.int64), blank)


def _losses(log_probs: Tensor, labels: Tensor, steps: Tensor, counts: Tensor, blank: int) -> Tensor:
    blanks = torch.full_like(labels, blank)
    path = torch.stack([blanks, labels], dim=2).flatten(1)
    path = functional.pad(path, (0, 1), value=blank)  # [batch, 2 * longest + 1]
    emitted = log_probs.gather(2, path.expand(log_probs.shape[0], *path.shape))
    # A blank between two labels may be left out where they differ.
    before = functional.pad(path, (2, 0), value=blank).narrow(1, 0, path.shape[1])
    leap = torch.where((path != blank) & (path != before), 0.0, -torch.inf).to(log_probs.dtype)

    def advance(k: Tensor, alpha: Tensor) -> tuple[Tensor]:
        now = k + 1
        shorter = [
            functional.pad(alpha, (n, 0), value=-torch.inf).narrow(1, 0, path.shape[1])
            for n in (1, 2)
        ]
        reached = _log_of_sum(alpha, shorter[0], shorter[1] + leap)
        reached = reached + emitted.index_select(0, now.reshape(1)).squeeze(0)
        return (torch.where((now < steps)[:, None], reached, alpha),)

    first = torch.where(torch.arange(path.shape[1]) < 2, emitted[0], -torch.inf)
    (alpha,) = count_to(log_probs.shape[0] - 1, advance, (first,))
    last = alpha.gather(1, 2 * counts[:, None]).squeeze(1)
    label = alpha.gather(1, (2 * counts - 1).clamp(min=0)[:, None]).squeeze(1)
    likelihood = _log_of_sum(last, torch.where(counts > 0, label, -torch.inf))
    unread = torch.where(counts == 0, 0.0, torch.inf).to(log_probs.dtype)
    return torch.where(steps == 0, unread, -likelihood)


def _log_of_sum(*logs: Tensor) -> Tensor:
    largest = logs[0]
    for log in logs[1:]:
        largest = torch.maximum(largest, log)
    largest = largest.clamp(min=torch.finfo(largest.dtype).min)  # -inf less -inf is not a number
    total = (logs[0] - largest).exp()
    for log in logs[1:]:
        total = total + (log - largest).exp()
    return total.log() + largest


FAMILY = Family(
    "ctc",
    tracing=lambda _: replacing({functional.ctc_loss: ctc_loss, torch.ctc_loss: ctc_loss}),
)
