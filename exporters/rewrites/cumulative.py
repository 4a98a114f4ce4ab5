"""Running products, maxima, minima and log-sums: cumprod, cummax, cummin, logcumsumexp.

ONNX has CumSum alone; torchlib's logcumsumexp is the logarithm of a CumSum of exponentials, which
overflows. Here a Loop doubles the reach of each element until it spans all that stand before it
(Hillis and Steele, Data parallel algorithms, 1986): log2(n) turns for n elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import State, repeat_while


def accumulated(combine: Callable[[State, State], State], start: State) -> State:
    """Running results along the last axis of an associative `combine(earlier, later)`."""
    size = start[0].shape[-1]
    place = torch.arange(size, device=start[0].device)

    def unfinished(reach: Tensor, *state: Tensor) -> Tensor:
        return reach < size

    def step(reach: Tensor, *state: Tensor) -> State:
        source = (place - reach).clamp(min=0)
        found = combine(tuple(s.index_select(-1, source) for s in state), state)
        grown = (torch.where(place >= reach, f, s) for f, s in zip(found, state, strict=True))
        return (reach * 2, *grown)

    one = torch.ones((), dtype=torch.int64, device=start[0].device)
    return repeat_while(unfinished, step, (one, *start))[1:]


def _along(x: Tensor, dim: int, running: Callable[[Tensor], State]) -> State:
    if x.dim() == 0:
        return tuple(t.squeeze(0) for t in running(x.unsqueeze(0)))
    return tuple(t.movedim(-1, dim) for t in running(x.movedim(dim, -1)))


def _cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    whole = not (x.is_floating_point() or x.is_complex())
    x = x.to(dtype or (torch.int64 if whole else x.dtype))
    return _along(x, dim, lambda x: accumulated(_product, (x,)))[0]


def _product(earlier: State, later: State) -> State:
    return (earlier[0] * later[0],)


def _cummax(x: Tensor, dim: int) -> State:
    return _along(x, dim, lambda x: accumulated(_larger, (x, _places(x))))


def _cummin(x: Tensor, dim: int) -> State:
    return _along(x, dim, lambda x: accumulated(_smaller, (x, _places(x))))


def _places(x: Tensor) -> Tensor:
    return torch.arange(x.shape[-1], device=x.device).expand_as(x)


def _is_nan(x: Tensor) -> Tensor:
    return x.isnan() if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)


def _larger(earlier: State, later: State) -> State:
    """Of equal values the later; NaN is above all."""
    (a, i), (b, j) = earlier, later
    wins = _is_nan(b) | ((b >= a) & ~_is_nan(a))
    return torch.where(wins, b, a), torch.where(wins, j, i)


def _smaller(earlier: State, later: State) -> State:
    (a, i), (b, j) = earlier, later
    wins = _is_nan(b) | ((b <= a) & ~_is_nan(a))
    return torch.where(wins, b, a), torch.where(wins, j, i)


def _logcumsumexp(x: Tensor, dim: int) -> Any:
    if x.is_complex():
        return NotImplemented
    return _along(x, dim, lambda x: accumulated(_log_sum, (x,)))[0]


def _log_sum(earlier: State, later: State) -> State:
    return (torch.ops.aten.logaddexp(earlier[0], later[0]),)


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.cumprod.default: _cumprod,
        aten.cummax.default: _cummax,
        aten.cummin.default: _cummin,
        aten.logcumsumexp.default: _logcumsumexp,
    }


FAMILY = Family("cumulative", decompositions=_decompositions())
