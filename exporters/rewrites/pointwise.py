"""Elementwise functions that torchlib lacks, or has in a form that overflows or loses digits.

log(exp(a) + exp(b)) is infinite above 88 in float32, log(1 + x) is zero for small x; and torch's
decompositions of copysign, fmax, frexp and nextafter end in primitives that ONNX has not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.series import floating


def _signbit(x: Tensor) -> Tensor:
    """The sign of zero shows in its reciprocal. That of NaN does not: False."""
    if x.dtype == torch.bool:
        return torch.zeros_like(x)
    below = x < 0
    return below | ((x == 0) & (1 / x < 0)) if x.is_floating_point() else below


def _copysign(a: Tensor, b: Any) -> Tensor:
    a, b = _alike(a, b)
    a, b = floating(a), floating(b)
    return torch.where(_signbit(b), -a.abs(), a.abs())


def _alike(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    dtype = torch.result_type(a, b)
    device = a.device if isinstance(a, Tensor) else b.device
    a, b = (torch.as_tensor(x, dtype=dtype, device=device) for x in (a, b))
    return a.to(dtype), b.to(dtype)


def _fmax(a: Tensor, b: Tensor) -> Tensor:
    a, b = _alike(a, b)
    if not a.is_floating_point():
        return torch.maximum(a, b)
    return torch.where(a.isnan(), b, torch.where(b.isnan(), a, torch.maximum(a, b)))


def _fmin(a: Tensor, b: Tensor) -> Tensor:
    a, b = _alike(a, b)
    if not a.is_floating_point():
        return torch.minimum(a, b)
    return torch.where(a.isnan(), b, torch.where(b.isnan(), a, torch.minimum(a, b)))


def _frexp(x: Tensor) -> tuple[Tensor, Tensor]:
    """x = mantissa * 2^exponent, 1/2 <= |mantissa| < 1."""
    regular = (x != 0) & x.isfinite()
    size = torch.where(regular, x.abs(), 0.5)
    exponent = size.log2().floor() + 1
    # The logarithm may be off by a rounding next to a power of two.
    mantissa = _scaled(size, -exponent)
    for wrong, change in ((mantissa >= 1, 1.0), (mantissa < 0.5, -1.0)):
        exponent = torch.where(wrong, exponent + change, exponent)
    mantissa = torch.where(regular, _scaled(x, -exponent), x)
    return mantissa, torch.where(regular, exponent, 0.0).to(torch.int32)


def _scaled(x: Tensor, power: Tensor) -> Tensor:
    """x * 2^power in two steps, since 2^149 is no float32."""
    half = (power / 2).floor()
    return x * 2.0**half * 2.0 ** (power - half)


def _nextafter(a: Tensor, b: Tensor) -> Any:
    """One unit in the last place away from zero, or towards it."""
    info = torch.finfo(a.dtype)
    digits = {torch.float32: 24, torch.float64: 53}.get(a.dtype)
    if digits is None:
        return NotImplemented
    least, smallest = _smallest(a.dtype)
    mantissa, exponent = _frexp(torch.where(a.abs() == inf, 1.0, a))
    size = torch.where(a.abs() == inf, inf, a.abs())
    exponent = exponent.to(a.dtype)
    up = (b > a) == (a > 0)
    # Below a power of two the numbers lie twice as close.
    finer = ~up & (mantissa.abs() == 0.5)
    exponent = torch.where(finer, exponent - 1, exponent)
    gap = _scaled(torch.ones_like(a), exponent.clamp(min=least) - digits)
    moved = torch.where(up, size + gap, size - gap)
    moved = torch.where((size == inf) & ~up, info.max, moved)
    moved = torch.where(a < 0, -moved, moved)
    moved = torch.where(a == 0, torch.where(b > 0, smallest, -smallest), moved)
    moved = torch.where(a == b, b, moved)
    return torch.where(a.isnan() | b.isnan(), a + b, moved)


def _smallest(dtype: torch.dtype) -> tuple[float, float]:
    """The least exponent of a normal number, and the least number above zero."""
    return (-125.0, 2.0**-149) if dtype == torch.float32 else (-1021.0, 2.0**-1074)


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    """Scaled by the larger, whose square may be infinite."""
    a, b = a.abs(), b.abs()
    top, low = torch.maximum(a, b), torch.minimum(a, b)
    ratio = torch.where((top == 0) | (top == inf), 0.0, low / top)
    found = top * (1 + ratio * ratio).sqrt()
    return torch.where((a == inf) | (b == inf), inf, found)


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    """torchlib's takes +0 over a negative number for below it, -0 for +0, and NaN for 0."""
    y, x = (floating(t) for t in _alike(y, x))
    high, wide = y.abs(), x.abs()
    angle = (high / wide).atan()
    angle = torch.where((high == 0) & (wide == 0), 0.0, angle)
    angle = torch.where((high == inf) & (wide == inf), pi / 4, angle)
    return _copysign(torch.where(_signbit(x), pi - angle, angle), y)


def _product(x: Tensor, dims: list[int] | None) -> Tensor:
    """`prims.prod`, over several dimensions at once."""
    for dim in sorted(range(x.dim()) if dims is None else dims, reverse=True):
        x = x.prod(dim)
    return x


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    top = torch.maximum(a, b)
    # Where both are infinite alike, their difference is no number.
    return torch.where(a == b, a + log(2.0), top + _log1p((-(a - b).abs()).exp()))


def _logaddexp2(a: Tensor, b: Tensor) -> Tensor:
    top = torch.maximum(a, b)
    rest = _log1p((-(a - b).abs() * log(2.0)).exp()) / log(2.0)
    return torch.where(a == b, a + 1.0, top + rest)


def _log1p(x: Tensor) -> Tensor:
    """W. Kahan's: what 1 + x loses of x is lost in the divisor too."""
    x = floating(x)
    near = 1 + x
    whole = (near == 1) | (near == inf)
    ratio = torch.where(whole, 1.0, near.log() / torch.where(whole, 1.0, near - 1))
    return x * ratio


def _expm1(x: Tensor) -> Tensor:
    """Kahan's too: exp(x) - 1 corrected by the logarithm of what exp(x) was rounded to."""
    x = floating(x)
    power = x.exp()
    plain = (power == 1) | (power < 1e-3) | (power > 1e3)
    near = torch.where(plain, 2.0, power)
    exact = (near - 1) * (x / near.log())
    return torch.where(power == 1, x, torch.where(plain, power - 1, exact))


def _erfc(x: Tensor) -> Tensor:
    """Above 1/2 by way of erfcx: one minus erf has lost all digits at 4."""
    x = floating(x)
    tail = torch.where(x > 0.5, x, 1.0)
    far = (-tail * tail).exp() * torch.special.erfcx(tail)
    return torch.where(x > 0.5, far, 1 - x.erf())


def _log_sigmoid(x: Tensor) -> Tensor:
    return x.clamp(max=0.0) - _log1p((-x.abs()).exp())


def _log_sigmoid_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    return _log_sigmoid(x), torch.zeros(0, dtype=x.dtype, device=x.device)


def _softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """Cast first, as PyTorch does."""
    found: Tensor = torch.ops.aten._softmax(x if dtype is None else x.to(dtype), dim, False)
    return found


def _log_softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    found: Tensor = torch.ops.aten._log_softmax(x if dtype is None else x.to(dtype), dim, False)
    return found


# divide, multiply and subtract are their short names: torch's exporter promotes the types of those
# only, and writes a division of float32 by int64 that does not load.
def _decompositions() -> dict[object, Callable[..., Any]]:
    aten, prims = torch.ops.aten, torch.ops.prims
    return {
        aten.signbit.default: _signbit,
        aten.copysign.Tensor: _copysign,
        aten.copysign.Scalar: _copysign,
        aten.fmax.default: _fmax,
        aten.fmin.default: _fmin,
        aten.frexp.Tensor: _frexp,
        aten.nextafter.default: _nextafter,
        aten.logaddexp.default: _logaddexp,
        aten.logaddexp2.default: _logaddexp2,
        aten.log1p.default: _log1p,
        aten.expm1.default: _expm1,
        aten.erfc.default: _erfc,
        aten.special_erfc.default: _erfc,
        aten.log_sigmoid.default: _log_sigmoid,
        aten.log_sigmoid_forward.default: _log_sigmoid_forward,
        aten.softmax.int: _softmax,
        aten.log_softmax.int: _log_softmax,
        aten.hypot.default: _hypot,
        aten.atan2.default: _atan2,
        aten.divide.Tensor: aten.div.Tensor,
        aten.multiply.Tensor: aten.mul.Tensor,
        aten.subtract.Tensor: aten.sub.Tensor,
        prims.signbit.default: _signbit,
        prims.prod.default: _product,
    }


FAMILY = Family("pointwise", decompositions=_decompositions())
