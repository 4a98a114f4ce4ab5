"""The gamma function's relatives: lgamma, digamma, polygamma, zeta, igamma, igammac.

ONNX has none of them. Those whose formulas lose digits (lgamma near its zeros, the incomplete
gamma functions at large arguments) are computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, log, nan, pi

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import repeat_while
from exporters.rewrites.series import floating, polynomial

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""B2, B4, ... B16: DLMF 24.2."""

_EULER = 0.5772156649015329

_ZETA = (
    *(1.6449340668482264, 1.2020569031595942, 1.0823232337111382, 1.0369277551433699),
    *(1.0173430619844491, 1.0083492773819228, 1.0040773561979443),
)
"""zeta(2), ... zeta(8)."""

_ABOVE_ONE = [*reversed([-_EULER, *((-1.0) ** k * z / k for k, z in enumerate(_ZETA, 2))])]
"""The series of log gamma(1 + x) over x."""

_SHIFT = 10
"""Recurrences move the argument so far up, and asymptotic series begin there."""


def _lgamma(x: Tensor) -> Tensor:
    """log |gamma(x)|; below 1/2 by reflection, DLMF 5.5.3."""
    x = floating(x)
    wide = x.double()
    upper = _log_gamma_above(torch.where(wide < 0.5, 1 - wide, wide))
    sine = (pi * (wide - wide.round())).sin().abs()
    found = torch.where(wide < 0.5, log(pi) - sine.log() - upper, upper)
    return torch.where(wide.abs() == inf, inf, found).to(x.dtype)


def _log_gamma_above(x: Tensor) -> Tensor:
    """log gamma(x) for x >= 1/2: Stirling's series, DLMF 5.11.1, at x + 10."""
    product = x
    for step in range(1, _SHIFT):
        product = product * (x + step)
    # Far up the product overflows, and nothing needs to be moved.
    high = torch.where(x > 1e20, x, x + _SHIFT)
    series = polynomial(
        1 / (high * high),
        [b / (2 * k * (2 * k - 1)) for k, b in reversed([*enumerate(_BERNOULLI, 1)])],
    )
    stirling = (high - 0.5) * high.log() - high + 0.5 * log(2 * pi) + series / high
    return torch.where(x > 1e20, stirling, stirling - product.log())


def _digamma(x: Tensor) -> Tensor:
    """DLMF 5.5.4 (reflection), 5.5.2 (recurrence), 5.11.2 (asymptotic series)."""
    x = floating(x)
    above = torch.where(x < 0, 1 - x, x)
    high = above + _SHIFT
    inverse = 1 / (high * high)
    series = polynomial(inverse, [b / (2 * k) for k, b in reversed([*enumerate(_BERNOULLI, 1)])])
    found = high.log() - 0.5 / high - inverse * series
    for step in reversed(range(_SHIFT)):
        found = found - 1 / (above + step)
    mirrored = found - pi / (pi * (x - x.trunc())).tan()
    found = torch.where(x < 0, torch.where(x == x.trunc(), nan, mirrored), found)
    return torch.where(x == 0, -1 / x, found)  # -inf at 0 and inf at -0, as C++ has it


def _polygamma(n: int, x: Tensor) -> Tensor:
    """(-1)^(n+1) n! zeta(n + 1, x): DLMF 25.11.12."""
    if n == 0:
        return _digamma(x)
    x = floating(x)
    if n == 1:
        return _trigamma(x)
    sign = 1.0 if n % 2 else -1.0
    return sign * factorial(n) * _zeta(torch.full_like(x, n + 1.0), x)


def _trigamma(x: Tensor) -> Tensor:
    """As PyTorch has it, which is inf at 0 and large but finite at negative integers."""
    lower = x < 0.5
    sine = (pi * x).sin()
    upper = torch.where(lower, 1 - x, x)
    found = torch.zeros_like(x)
    for step in range(6):
        found = found + 1 / (upper + step).square()
    high = upper + 6
    inverse = 1 / (high * high)
    tail = 1 / 6 - inverse * (1 / 30 - inverse * (1 / 42))
    found = found + (1 + 1 / (2 * high) + inverse * tail) / high
    return torch.where(lower, (pi * pi) / (sine * sine) - found, found)


def _zeta(s: Tensor, q: Tensor) -> Tensor:
    """Hurwitz's: terms up to q + n > 9, then Euler and Maclaurin's formula (DLMF 25.11.5)."""
    s, q = torch.broadcast_tensors(floating(s), floating(q))
    pole = (q <= 0) & (q == q.floor())
    at = torch.where(pole, 1.0, q)  # minus infinity would never arrive
    total = torch.zeros_like(q)
    for _ in range(9):
        total, at = total + at.pow(-s), at + 1

    def negative(at: Tensor, total: Tensor) -> Tensor:
        return (at <= 9.0).any()

    def step(at: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        low = at <= 9.0
        return torch.where(low, at + 1, at), torch.where(low, total + at.pow(-s), total)

    at, total = repeat_while(negative, step, (at, total))
    power = at.pow(-s)
    # The sum's last term stands halved in the formula, and is not in `total` yet.
    total = total + power * at / (s - 1) + 0.5 * power
    factor, power = s, power / at
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        total = total + factor * power * (bernoulli / factorial(2 * k))
        factor = factor * (s + (2 * k - 1)) * (s + 2 * k)
        power = power / (at * at)
    total = torch.where((q <= 0) & (s != s.floor()), nan, total)
    total = torch.where(pole, inf, total)
    return torch.where(s > 1, total, torch.where(s == 1, inf, nan))


def _igamma(a: Tensor, x: Tensor) -> Tensor:
    return _incomplete(a, x)[0]


def _igammac(a: Tensor, x: Tensor) -> Tensor:
    return _incomplete(a, x)[1]


def _incomplete(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """P(a, x) and Q(a, x): a power series where x < a + 1, a continued fraction elsewhere.

    DLMF 8.11.4 and 8.9.2, the fraction by Lentz's method; both until no element changes. Where P is
    nearly 1, Q has a series of its own, in the places where PyTorch takes it.
    """
    dtype = torch.promote_types(floating(a).dtype, floating(x).dtype)
    a, x = torch.broadcast_tensors(a.double(), x.double())
    fine = (a > 0) & (x > 0) & (a < inf) & (x < inf)
    left = fine & (x < a + 1)
    scale = a * x.log() - x - _lgamma(a)
    front = torch.where(fine, scale, -inf).exp()
    lower = front * _series(torch.where(left, a, 1.0), torch.where(left, x, 0.5))
    right = fine & ~left
    upper = front * _fraction(torch.where(right, a, 1.0), torch.where(right, x, 3.0))
    lower, upper = torch.where(left, lower, 1 - upper), torch.where(left, 1 - lower, upper)
    enough = ((x <= 0.5) & (-0.4 / x.log() < a)) | ((x > 0.5) & (1.1 * x < a))
    rest = fine & (x <= 1.1) & ~enough
    upper = torch.where(rest, _rest(torch.where(rest, a, 1.0), torch.where(rest, x, 0.5)), upper)

    # At the borders P is 0 (x = 0, or a infinite) or 1 (a = 0, or x infinite).
    zero = ((x == 0) & (a > 0)) | ((a == inf) & (x >= 0) & (x < inf))
    one = ((a == 0) & (x > 0)) | ((x == inf) & (a >= 0) & (a < inf))
    border = torch.where(zero, 0.0, torch.where(one, 1.0, nan))
    return (
        torch.where(fine, lower, border).to(dtype),
        torch.where(fine, upper, 1 - border).to(dtype),
    )


def _series(a: Tensor, x: Tensor) -> Tensor:
    """The sum of x^n / (a (a + 1) ... (a + n))."""

    def unfinished(k: Tensor, term: Tensor, total: Tensor) -> Tensor:
        return (term > 1e-17 * total).any()

    def step(k: Tensor, term: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        term = term * x / (a + k)
        return k + 1.0, term, total + term

    one = torch.ones((), dtype=a.dtype, device=a.device)
    return repeat_while(unfinished, step, (one, 1 / a, 1 / a))[2]


def _rest(a: Tensor, x: Tensor) -> Tensor:
    """1 - P for a small x, by DLMF 8.7.3: no digits are lost where P is nearly 1."""

    def unfinished(k: Tensor, factor: Tensor, term: Tensor, total: Tensor) -> Tensor:
        return (term.abs() > 1e-17 * total.abs()).any()

    def step(
        k: Tensor, factor: Tensor, term: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        factor = factor * (-x / k)
        term = factor / (a + k)
        return k + 1.0, factor, term, total + term

    one = torch.ones((), dtype=a.dtype, device=a.device)
    full = torch.ones_like(a)
    total = repeat_while(unfinished, step, (one, full, full, torch.zeros_like(a)))[3]
    power = a * x.log()
    return -(power - _lgamma_above_one(a)).expm1() - (power - _lgamma(a)).exp() * total


def _lgamma_above_one(x: Tensor) -> Tensor:
    """log gamma(1 + x) to its last digits for a small x >= 0: DLMF 5.7.3, of 1 + x as it is rounded
    by PyTorch."""
    above = (1 + x) - 1
    series = above * polynomial(above, _ABOVE_ONE)
    return torch.where(above < 0.01, series, _lgamma(1 + x))


def _fraction(a: Tensor, x: Tensor) -> Tensor:
    """1 / (x + 1 - a - (1 - a) / (x + 3 - a - 2 (2 - a) / ...))."""

    def unfinished(k: Tensor, b: Tensor, c: Tensor, d: Tensor, h: Tensor, f: Tensor) -> Tensor:
        return ((f - 1).abs() > 1e-15).any() & (k < 20_000)

    def step(
        k: Tensor, b: Tensor, c: Tensor, d: Tensor, h: Tensor, f: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        above = -k * (k - a)
        b = b + 2
        d = 1 / _nonzero(above * d + b)
        c = _nonzero(b + above / c)
        return k + 1.0, b, c, d, h * (c * d), c * d

    one = torch.ones((), dtype=a.dtype, device=a.device)
    b = x + 1 - a
    d = 1 / _nonzero(b)
    start = (one, b, torch.full_like(b, 1e300), d, d, torch.full_like(b, 2.0))
    return repeat_while(unfinished, step, start)[4]


def _nonzero(x: Tensor) -> Tensor:
    return x.masked_fill(x.abs() < 1e-300, 1e-300)


def _functions() -> dict[object, Callable[..., Tensor]]:
    aten = torch.ops.aten
    return {
        aten.lgamma.default: _lgamma,
        aten.digamma.default: _digamma,
        aten.polygamma.default: _polygamma,
        aten.special_zeta.default: _zeta,
        aten.igamma.default: _igamma,
        aten.igammac.default: _igammac,
    }


FAMILY = Family("gamma", decompositions=_functions())
