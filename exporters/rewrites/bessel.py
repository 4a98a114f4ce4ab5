"""Bessel and Airy functions: torch.special.bessel_*, modified_bessel_*, i0, i0e, i1, i1e, airy_ai.

ONNX has none of them, and torch's decompositions end in its own primitives. Here they are the
rational functions and Chebyshev series of Cephes, with the same coefficients as PyTorch's kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, nan, pi, sqrt

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.cephes import AIRY, I0, I1, J0, J1, K0, K1, Y0, Y1
from exporters.rewrites.series import chebyshev, floating, polynomial

_SQRT_2_OVER_PI = sqrt(2 / pi)
_1_OVER_SQRT_PI = 1 / sqrt(pi)
_SINC = [(-1.0) ** n / factorial(2 * n + 1) for n in reversed(range(7))]


def _ratio(x: Tensor, table: dict[str, tuple[float, ...]], above: str, below: str) -> Tensor:
    return polynomial(x, table[above]) / polynomial(x, table[below])


def _wave(x: Tensor, table: dict[str, tuple[float, ...]], phase: float, *, second: bool) -> Tensor:
    """J (or Y: `second`) for x above 5: sqrt(2 / pi x) (P cos(x - phase) - 5 / x Q sin)."""
    z = 25.0 / (x * x)
    p, q = _ratio(z, table, "PP", "PQ"), 5.0 / x * _ratio(z, table, "QP", "QQ")
    sine, cosine = (x - phase).sin(), (x - phase).cos()
    wave = p * sine + q * cosine if second else p * cosine - q * sine
    return wave * _SQRT_2_OVER_PI / x.sqrt()


def _j0(x: Tensor) -> Tensor:
    x = floating(x).abs()
    near, far = x.clamp(max=5.0), x.clamp(min=5.0)
    z = near * near
    small = (z - 5.78318596294678452118) * (z - 3.04712623436620863991e1)
    return torch.where(
        x <= 5.0, small * _ratio(z, J0, "RP", "RQ"), _wave(far, J0, pi / 4, second=False)
    ) + (x - x)


def _j1(x: Tensor) -> Tensor:
    x = floating(x)
    size = x.abs()
    near, far = size.clamp(max=5.0), size.clamp(min=5.0)
    z = near * near
    small = near * (z - 1.46819706421238932572e1) * (z - 4.92184563216946036703e1)
    small = small * _ratio(z, J1, "RP", "RQ")
    found = torch.where(size <= 5.0, small, _wave(far, J1, 3 * pi / 4, second=False))
    return torch.where(x < 0, -found, found) + (x - x)


def _second_kind(x: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """-inf at zero and nan below it."""
    found = torch.where(x <= 5.0, small, large)
    return torch.where(x > 0, found, torch.where(x == 0, -inf, nan)) + (x - x)


def _y0(x: Tensor) -> Tensor:
    x = floating(x)
    near, far = x.clamp(max=5.0), x.clamp(min=5.0)
    small = _ratio(near * near, Y0, "YP", "YQ") + 2 / pi * near.log() * _j0(near)
    return _second_kind(x, small, _wave(far, J0, pi / 4, second=True))


def _y1(x: Tensor) -> Tensor:
    x = floating(x)
    near, far = x.clamp(max=5.0), x.clamp(min=5.0)
    small = near * _ratio(near * near, Y1, "YP", "YQ")
    small = small + 2 / pi * (_j1(near) * near.log() - 1 / near)
    return _second_kind(x, small, _wave(far, J1, 3 * pi / 4, second=True))


def _i0e(x: Tensor) -> Tensor:
    size = floating(x).abs()
    near, far = size.clamp(max=8.0), size.clamp(min=8.0)
    small = chebyshev(near / 2 - 2, I0["A"])
    large = chebyshev(32 / far - 2, I0["B"]) / far.sqrt()
    return torch.where(size <= 8.0, small, large)


def _i1e(x: Tensor) -> Tensor:
    x = floating(x)
    size = x.abs()
    near, far = size.clamp(max=8.0), size.clamp(min=8.0)
    small = chebyshev(near / 2 - 2, I1["A"]) * near
    large = chebyshev(32 / far - 2, I1["B"]) / far.sqrt()
    found = torch.where(size <= 8.0, small, large)
    return torch.where(x < 0, -found, found)


def _i0(x: Tensor) -> Tensor:
    return floating(x).abs().exp() * _i0e(x)


def _i1(x: Tensor) -> Tensor:
    return floating(x).abs().exp() * _i1e(x)


def _k(x: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """inf at zero and nan below it."""
    found = torch.where(x <= 2.0, small, large)
    return torch.where(x > 0, found, torch.where(x == 0, inf, nan))


def _log_of_half(x: Tensor) -> Tensor:
    """In float64, as PyTorch has it: the half of a denormal is another number in float32."""
    return (0.5 * x.double()).log().to(x.dtype)


def _k0e(x: Tensor) -> Tensor:
    x = floating(x)
    near, far = x.clamp(max=2.0), x.clamp(min=2.0)
    small = chebyshev(near * near - 2, K0["A"]) - _log_of_half(near) * _i0(near)
    return _k(x, small * near.exp(), chebyshev(8 / far - 2, K0["B"]) / far.sqrt())


def _k1e(x: Tensor) -> Tensor:
    x = floating(x)
    near, far = x.clamp(max=2.0), x.clamp(min=2.0)
    small = _log_of_half(near) * _i1(near) + chebyshev(near * near - 2, K1["A"]) / near
    return _k(x, small * near.exp(), chebyshev(8 / far - 2, K1["B"]) / far.sqrt())


def _k0(x: Tensor) -> Tensor:
    return (-floating(x)).exp() * _k0e(x)


def _k1(x: Tensor) -> Tensor:
    return (-floating(x)).exp() * _k1e(x)


def _spherical_j0(x: Tensor) -> Tensor:
    """sin(x) / x, by its Taylor series near zero."""
    x = floating(x)
    series = polynomial(x * x, _SINC)
    return torch.where(x.abs() < 0.5, series, torch.where(x.abs() == inf, 0.0, x.sin() / x))


_AIRY_TERMS = 14
"""Of the power series: |x| < 2.09, so the last term is below 1e-18."""


def _airy_ai(x: Tensor) -> Tensor:
    x = floating(x)
    middle = x.clamp(-2.09, 2.09)
    found = torch.where(x < -2.09, _airy_left(x.clamp(max=-2.09)), _airy_series(middle))
    found = torch.where(x >= 2.09, _airy_right(x.clamp(min=2.09)), found)
    return torch.where(x.abs() == inf, nan, found)


def _airy_series(x: Tensor) -> Tensor:
    """c1 f(x) - c2 g(x), DLMF 9.4.1."""
    cube = x * x * x
    even, odd = torch.ones_like(x), x
    f, g, k = even, odd, 0.0
    for _ in range(_AIRY_TERMS):
        even = even * cube / ((k + 2) * (k + 3))
        odd = odd * cube / ((k + 3) * (k + 4))
        f, g, k = f + even, g + odd, k + 3
    return 0.355028053887817239260 * f - 0.258819403792806798405 * g


def _airy_left(x: Tensor) -> Tensor:
    phase = -2.0 * x * (-x).sqrt() / 3.0
    z = 1.0 / phase
    even = 1.0 + z * z * _ratio(z * z, AIRY, "AFN", "AFD")
    odd = z * _ratio(z * z, AIRY, "AGN", "AGD")
    turn = phase + pi / 4
    return _1_OVER_SQRT_PI / (-x).sqrt().sqrt() * (turn.sin() * even - turn.cos() * odd)


def _airy_right(x: Tensor) -> Tensor:
    zeta = 2.0 * x * x.sqrt() / 3.0
    ratio = _ratio(1.0 / zeta, AIRY, "AN", "AD")
    return _1_OVER_SQRT_PI * ratio / (2.0 * x.sqrt().sqrt() * zeta.exp())


def _functions() -> dict[object, Callable[[Tensor], Tensor]]:
    aten, prims = torch.ops.aten, torch.ops.prims
    return {
        aten.special_bessel_j0.default: _j0,
        aten.special_bessel_j1.default: _j1,
        aten.special_bessel_y0.default: _y0,
        aten.special_bessel_y1.default: _y1,
        aten.i0.default: _i0,
        aten.special_i0e.default: _i0e,
        aten.special_i1.default: _i1,
        aten.special_i1e.default: _i1e,
        aten.special_modified_bessel_i0.default: _i0,
        aten.special_modified_bessel_i1.default: _i1,
        aten.special_modified_bessel_k0.default: _k0,
        aten.special_modified_bessel_k1.default: _k1,
        aten.special_scaled_modified_bessel_k0.default: _k0e,
        aten.special_scaled_modified_bessel_k1.default: _k1e,
        aten.special_spherical_bessel_j0.default: _spherical_j0,
        aten.special_airy_ai.default: _airy_ai,
        prims.bessel_i0.default: _i0,
    }


FAMILY = Family("bessel", decompositions=_functions())
