"""Complex tensors as pairs of real ones, where torchlib has no such form of an operator.

In the ONNX graph a complex tensor is a real one with a last axis of two. What moves elements is
done to that tensor; what computes with them is written with its two halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _of_complex(how: Callable[..., Any]) -> Callable[..., Any]:
    """Leave real tensors alone."""

    def guarded(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(t, Tensor) and t.is_complex() for t in (x, *args)):
            return NotImplemented
        return how(x, *args, **kwargs)

    return guarded


def _pair(x: Tensor) -> tuple[Tensor, Tensor]:
    real = torch.view_as_real(x)
    return real.select(-1, 0), real.select(-1, 1)


def _axis(dim: int, real: Tensor) -> int:
    """An axis of the complex tensor in that of the pairs, which has one more at the end."""
    return dim % (real.dim() - 1)


def _pad(x: Tensor, pad: Sequence[int], value: Any = 0) -> Any:
    if value:
        return NotImplemented
    real = torch.view_as_real(x)
    return torch.view_as_complex(torch.constant_pad_nd(real, [0, 0, *pad], 0.0))


def _pad_mode(x: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    return _pad(x, pad, value or 0) if mode == "constant" else NotImplemented


def _conj(x: Tensor) -> Tensor:
    a, b = _pair(x)
    return torch.complex(a, -b)


def _moved(how: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What moves elements: done to the pairs."""

    def moved(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return torch.view_as_complex(how(torch.view_as_real(x), *args, **kwargs))

    return moved


@_moved
def _select(real: Tensor, dim: int, index: Any) -> Tensor:
    return real.select(_axis(dim, real), index)


@_moved
def _index_select(real: Tensor, dim: int, index: Tensor) -> Tensor:
    return real.index_select(_axis(dim, real), index)


@_moved
def _unsqueeze(real: Tensor, dim: int) -> Tensor:
    return real.unsqueeze(dim % real.dim())


@_moved
def _expand(real: Tensor, size: Sequence[Any], *, implicit: bool = False) -> Tensor:
    return real.expand(*size, 2)


@_moved
def _flip(real: Tensor, dims: Sequence[int]) -> Tensor:
    return real.flip([_axis(dim, real) for dim in dims])


def _copy(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """What is assigned to a part of a tensor."""
    if not x.is_complex():
        return _pair(source)[0].expand(x.shape)
    whole = source if source.is_complex() else torch.complex(source, torch.zeros_like(source))
    return whole.expand(x.shape)


def _slice_scatter(x: Tensor, source: Tensor, dim: int = 0, *part: Any, **named: Any) -> Any:
    if not (x.is_complex() and source.is_complex()):
        return NotImplemented
    real, parts = torch.view_as_real(x), torch.view_as_real(source)
    found = torch.slice_scatter(real, parts, _axis(dim, real), *part, **named)
    return torch.view_as_complex(found)


def _exp(x: Tensor) -> Tensor:
    a, b = _pair(x)
    size = a.exp()
    return torch.complex(size * b.cos(), size * b.sin())


def _where(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    (ar, ai), (br, bi) = (_pair(t) if t.is_complex() else (t, torch.zeros_like(t)) for t in (a, b))
    return torch.complex(torch.where(mask, ar, br), torch.where(mask, ai, bi))


def _pow(x: Tensor, exponent: Any) -> Any:
    """By products, for a whole power; else by its polar form."""
    if isinstance(exponent, int) and 0 < exponent <= 8:
        found = x
        for _ in range(exponent - 1):
            found = found * x
        return found
    if isinstance(exponent, (int, float)):
        return torch.polar(x.abs() ** exponent, x.angle() * exponent)
    return NotImplemented


def _times(x: Any, y: Any) -> Any:
    """A real tensor times a complex number."""
    tensor, number = (x, y) if isinstance(x, Tensor) else (y, x)
    if not isinstance(number, complex) or tensor.is_complex():
        return NotImplemented
    tensor = tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())
    return torch.complex(tensor * number.real, tensor * number.imag)


def _full(size: Sequence[Any], value: Any, *, dtype: Any = None, **_: Any) -> Any:
    """Of one complex number."""
    kind = dtype or (torch.complex64 if isinstance(value, complex) else torch.float32)
    if not kind.is_complex:
        return NotImplemented
    parts = (complex(value).real, complex(value).imag)
    return torch.complex(*(torch.full(size, part, dtype=kind.to_real()) for part in parts))


def _zeros(size: Sequence[Any], **keywords: Any) -> Any:
    return _full(size, 0, **keywords)


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    table: dict[object, Callable[..., Any]] = {
        aten.constant_pad_nd.default: _pad,
        aten.pad.default: _pad_mode,
        aten._conj_physical.default: _conj,
        aten.select.int: _select,
        aten.unsqueeze.default: _unsqueeze,
        aten.expand.default: _expand,
        aten.index_select.default: _index_select,
        aten.index.Tensor: _moved(aten.index.Tensor),
        aten.exp.default: _exp,
        aten.where.self: _where,
        aten.pow.Tensor_Scalar: _pow,
        aten.copy.default: _copy,
        aten.slice_scatter.default: _slice_scatter,
        aten.flip.default: _flip,
    }
    found = {op: _of_complex(how) for op, how in table.items()}
    return found | {
        aten.mul.Tensor: _times,
        aten.full.default: _full,
        aten.zeros.default: _zeros,
    }


FAMILY = Family("complexes", decompositions=_decompositions())
