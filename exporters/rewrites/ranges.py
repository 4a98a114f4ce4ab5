"""torch.linspace over a dynamic number of steps: torch.export fixes the number.

A table of positions made by `torch.linspace(0, 1, x.shape[1])` came out for the length of the
example only. Written with arange it stays open.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import SymInt, Tensor, nn

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing


def _linspace(start: Any, end: Any, steps: Any, **options: Any) -> Tensor:
    """From both ends to the middle, as PyTorch counts (aten/src/ATen/native/RangeFactories.cpp)."""
    if not isinstance(steps, SymInt):
        return torch.linspace(start, end, steps, **options)
    dtype = options.pop("dtype", None) or torch.get_default_dtype()
    count: Any = steps  # what torch's stubs do not know to be a number
    number = torch.arange(count, dtype=dtype, **options)
    last = torch.full((), count - 1, dtype=dtype)
    step = (end - start) / last.clamp(min=1)
    return torch.where(2 * number <= last, start + step * number, end - step * (last - number))


def _tracing(_: nn.Module) -> AbstractContextManager[None]:
    return replacing({torch.linspace: _linspace})


FAMILY = Family("ranges", tracing=_tracing)
