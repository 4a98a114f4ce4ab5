"""float32, or less, that a module asks for by name, as float64 while the reference runs.

A module in float64 still computes what it casts itself in float32: the norms of Llama, rotary
angles, the router of a mixture of experts (which then meets float64 weights, and refuses). Its
result would be the truth to seven digits only, or none. Here `x.float()`, `x.to(torch.float32)`,
`dtype=torch.float32` and new tensors without a dtype are float64, and so is what is to be half of
that: it is how precisely a model computes, not what; and the product of groups of rows
with a matrix each, which has no kernel for float64 (every mixture of experts of transformers), is
a product for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Widening(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func = _INSTEAD.get(func, func)
        return func(*map(_wide, args), **{n: _wide(v) for n, v in (kwargs or {}).items()})


def _grouped_mm(a: Tensor, b: Tensor, *, offs: Tensor, bias: Any = None, **_: Any) -> Tensor:
    """Rows [T, K], of which group g ends at offs[g], times matrices [G, K, N]: [T, N]."""
    if a.dim() != 2 or b.dim() != 3 or bias is not None:
        raise NotImplementedError("grouped_mm of other shapes in float64")
    found = a.new_zeros(a.shape[0], b.shape[2])
    start = 0
    for group, end in enumerate(offs.tolist()):
        found[start:end] = a[start:end] @ b[group]
        start = end
    return found


_INSTEAD: dict[Any, Any] = {
    **dict.fromkeys((Tensor.float, Tensor.half, Tensor.bfloat16), Tensor.double),
    torch._grouped_mm: _grouped_mm,
}
_WIDE = {
    **dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), torch.float64),
    **dict.fromkeys((torch.complex64, torch.complex32), torch.complex128),
}


def _wide(value: Any) -> Any:
    return _WIDE.get(value, value) if isinstance(value, torch.dtype) else value


@contextmanager
def widening(mode: Widening | None = None) -> Iterator[None]:
    """What is asked for in float32 is made in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mode or Widening():
            yield
    finally:
        torch.set_default_dtype(before)
