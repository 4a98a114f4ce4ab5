"""nn.LSTM with `proj_size`, which the LSTM of ONNX has not, as the LSTM of ONNX.

A projected state is h = P m, where m = o * tanh(c) is the state of a plain LSTM, and enters the
next step as R h = (R P) m: a plain LSTM whose recurrent weights are R P gives every m, and P m is
left to one product after it. A first state has no m that it comes from; it is an input of the first
step, whose weights are R. No family of its own: `recurrent` calls it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def directions(layer: nn.RNNBase) -> tuple[str, ...]:
    """The suffixes of the names of a layer's weights."""
    return ("", "_reverse") if layer.bidirectional else ("",)


def projections(layer: nn.RNNBase, level: int) -> list[Tensor]:
    """P [proj, hidden] of each direction."""
    return [getattr(layer, f"weight_hr_l{level}{d}").detach() for d in directions(layer)]


def folded(recurrent: Tensor, layer: nn.RNNBase, level: int) -> dict[str, Tensor]:
    """R P [directions, gates * hidden, hidden], and P [directions, hidden, proj] as a factor.

    `recurrent`: R [directions, gates * hidden, proj].
    """
    each = torch.stack(projections(layer, level))
    product = recurrent.double() @ each.double()
    return {"R": product.to(recurrent.dtype), "P": each.transpose(1, 2).contiguous()}


def widened(weights: Tensor, recurrent: Tensor) -> Tensor:
    """W with columns for the first state of each direction: R in its own direction, else zero."""
    count = len(recurrent)
    columns = [
        torch.cat([r if other == own else torch.zeros_like(r) for other in range(count)], dim=1)
        for own, r in enumerate(recurrent)
    ]
    return torch.cat([weights, torch.stack(columns)], dim=2)


def with_first_state(steps: Tensor, state: Tensor, lengths: Tensor | None) -> Tensor:
    """Steps [time, batch, ...]; a state [directions, batch, proj] stands in each first step."""
    time = torch.arange(steps.shape[0])[:, None]
    firsts = [time == 0, time == (steps.shape[0] if lengths is None else lengths) - 1]
    parts = [
        torch.where(first[..., None], own[None], 0.0)
        for first, own in zip(firsts, state, strict=False)
    ]
    return torch.cat([steps, *parts], dim=2)
