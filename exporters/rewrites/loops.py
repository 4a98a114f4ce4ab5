"""Loops inside a decomposition: one ONNX Loop, however often it turns at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._dynamo import config
from torch._higher_order_ops.while_loop import while_loop

State = tuple[Tensor, ...]


def repeat_while(
    unfinished: Callable[..., Tensor], step: Callable[..., State], start: State
) -> State:
    """`step` on `start` while `unfinished`; both are given the state's tensors.

    A step returns tensors of its own, with the shapes and dtypes of the state. It makes no constant
    tensors, as torch.where does of a number (torch 2.13 loses them): see `only`.
    """
    # The start is copied: what enters twice, or is a view of another, is refused by the operator.
    # The sizes are not to become symbols because an earlier loop had others (torch 2.13 then writes
    # inputs that nothing is bound to), and any number of loops may come from one piece of code.
    with config.patch(automatic_dynamic_shapes=False, recompile_limit=1 << 20):
        found: State = while_loop(unfinished, step, tuple(_own(t) for t in start))
    return found


def count_to(n: Any, step: Callable[..., State], start: State) -> State:
    """`step(k, *state)` for k = 0, 1, ... n - 1, where k is an int64 tensor without dimensions."""

    def unfinished(k: Tensor, *state: Tensor) -> Tensor:
        below: Tensor = k < n
        return below

    def advance(k: Tensor, *state: Tensor) -> State:
        return (k + 1, *step(k, *state))

    zero = torch.zeros((), dtype=torch.int64, device=start[0].device)
    return repeat_while(unfinished, advance, (zero, *start))[1:]


def only(mask: Tensor, tensor: Tensor) -> Tensor:
    """The tensor where the mask holds, zero elsewhere; a mask of as many dimensions, or fewer.

    Nothing is expanded: torch 2.13 mistakes a size that is read in a loop for one outside of it.
    """
    return torch.where(mask, tensor, torch.zeros_like(tensor))


def places_of(index: Tensor, tensor: Tensor) -> Tensor:
    """The index in the shape of the tensor, as `gather` wants it."""
    return index + torch.zeros_like(tensor, dtype=torch.int64)


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)
