"""Whole numbers and truth values where ONNX's operators know floats, or numbers, only.

`ceil` and `floor` of what is whole already, `a + b` of two masks, the order of a mask, a matrix
product of int64 with a sum beside it (Gemm has no kernel), pixel_shuffle of labels, one place of a
table: each was refused, or came out as a file that does not load.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import pi
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _of(is_so: Callable[[Tensor], bool], how: Callable[..., Any]) -> Callable[..., Any]:
    """Where the first argument is so; torch's own way elsewhere."""

    @wraps(how)
    def found(x: Any, *args: Any, **named: Any) -> Any:
        mine = isinstance(x, Tensor) and is_so(x)
        return how(x, *args, **named) if mine else NotImplemented

    return found


def _is_truth(x: Tensor) -> bool:
    return x.dtype == torch.bool


def _is_whole(x: Tensor) -> bool:
    return not (x.is_floating_point() or x.is_complex())


def _or(a: Tensor, b: Any, *, alpha: Any = 1) -> Any:
    """The sum of two masks."""
    if not (isinstance(b, Tensor) and b.dtype == torch.bool):
        return NotImplemented
    return a | b if alpha else a.clone()


def _as_int(how: Callable[..., Any]) -> Callable[..., Any]:
    """Computed of 0 and 1; values are truth values again, places are not."""

    def found(x: Tensor, *args: Any, **named: Any) -> tuple[Tensor, Tensor]:
        values, places = how(x.to(torch.int32), *args, **named)
        return values.to(torch.bool), places

    return found


def _addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    product = a @ b
    product = product if alpha == 1 else alpha * product
    return product + (x if beta == 1 else beta * x)


def _pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    *batch, channels, height, width = x.shape
    parts = x.reshape(*batch, channels // factor**2, factor, factor, height, width)
    n = len(batch)
    order = [*range(n + 1), n + 3, n + 1, n + 4, n + 2]
    return parts.permute(order).reshape(
        *batch, channels // factor**2, height * factor, width * factor
    )


def _angle(x: Tensor) -> Tensor:
    return torch.where(x < 0, pi, 0.0).to(torch.get_default_dtype())


def _take(x: Tensor, index: Tensor) -> Tensor:
    """Not by []: of one index torch asks for the number."""
    return x.reshape(-1).index_select(0, index.reshape(-1)).reshape(index.shape)


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    whole: dict[object, Callable[..., Any]] = {
        **dict.fromkeys((aten.ceil.default, aten.floor.default, aten.trunc.default), torch.clone),
        aten.addmm.default: _addmm,
        aten.pixel_shuffle.default: _pixel_shuffle,
        aten.angle.default: _angle,
    }
    truth: dict[object, Callable[..., Any]] = {
        aten.add.Tensor: _or,
        aten.sort.default: _as_int(aten.sort.default),
        aten.max.dim: _as_int(aten.max.dim),
        aten.min.dim: _as_int(aten.min.dim),
    }
    return {
        **{op: _of(_is_whole, how) for op, how in whole.items()},
        **{op: _of(_is_truth, how) for op, how in truth.items()},
        aten.take.default: _take,
    }


FAMILY = Family("wholes", decompositions=_decompositions())
