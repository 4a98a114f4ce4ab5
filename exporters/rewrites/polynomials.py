"""Orthogonal polynomials of torch.special, their degree a number or a tensor.

All follow a recurrence of three terms. It runs to the highest degree that is asked for, in an ONNX
Loop, and each element keeps the value of its own degree. The kernels of PyTorch take a cosine in
place of the Chebyshev recurrences inside (-1, 1) above degree 6 or 8; so do these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import repeat_while
from exporters.rewrites.series import floating

Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""The polynomial of degree k + 1 from x, k, those of degree k and k - 1."""


def _polynomial(first: Callable[[Tensor], Tensor], step: Step, x: Any, n: Any) -> Tensor:
    """Degree n (towards zero where it is no whole number); 0 where it is negative."""
    x, degree = _arguments(x, n)
    one = torch.ones_like(x)

    def unfinished(k: Tensor, before: Tensor, last: Tensor, found: Tensor) -> Tensor:
        return k < degree.max()

    def advance(
        k: Tensor, before: Tensor, last: Tensor, found: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        following = step(x, k, last, before)
        found = torch.where(degree == k + 1, following, found)
        return k + 1.0, last + 0.0, following, found

    start = first(x) * one
    found = torch.where(degree == 0, one, torch.where(degree == 1, start, 0.0))
    k = torch.ones((), dtype=x.dtype, device=x.device)
    return repeat_while(unfinished, advance, (k, one, start, found))[3]


def _arguments(x: Any, n: Any) -> tuple[Tensor, Tensor]:
    tensor = x if isinstance(x, Tensor) else n
    x, n = (torch.as_tensor(v, device=tensor.device) for v in (x, n))
    dtype = torch.promote_types(floating(x).dtype, floating(n).dtype)
    if x.dim() == 0 or n.dim() == 0:  # a number takes the type of the tensor beside it
        dtype = torch.result_type(x, n)
        dtype = dtype if dtype.is_floating_point else torch.get_default_dtype()
    x, n = torch.broadcast_tensors(x.to(dtype), n.to(dtype))
    return x.contiguous(), n.trunc()


def _double(x: Tensor, k: Tensor, last: Tensor, before: Tensor) -> Tensor:
    """2x last - before, which comes out where the first product alone is beyond the range; PyTorch
    adds it up without rounding the product."""
    return 2 * (x * last - 0.5 * before)


def _hermite_h(x: Tensor, k: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return (x + x) * last - 2 * k * before


def _hermite_he(x: Tensor, k: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return x * last - k * before


def _laguerre(x: Tensor, k: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return ((k + k + (1 - x)) * last - k * before) / (k + 1)


def _legendre(x: Tensor, k: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return ((k + k + 1) * x * last - k * before) / (k + 1)


def _chebyshev(
    first: Callable[[Tensor], Tensor],
    inside: Callable[[Tensor, Tensor], Tensor],
    x: Any,
    n: Any,
    *,
    above: int,
    shifted: bool = False,
) -> Tensor:
    """The recurrence, and inside (-1, 1) from degree `above` on the trigonometric form."""
    x, degree = _arguments(x, n)
    if shifted:
        x = x + x - 1
    within = (x.abs() < 1) & (degree > above)
    angle = torch.where(within, x, 0.0).acos()
    low = torch.where(within, 0.0, degree)
    return torch.where(within, inside(degree, angle), _polynomial(first, _double, x, low))


def _t(n: Tensor, angle: Tensor) -> Tensor:
    return (n * angle).cos()


def _u(n: Tensor, angle: Tensor) -> Tensor:
    return ((n + 1) * angle).sin() / angle.sin()


def _v(n: Tensor, angle: Tensor) -> Tensor:
    return ((n + 0.5) * angle).cos() / (angle / 2).cos()


def _w(n: Tensor, angle: Tensor) -> Tensor:
    return ((n + 0.5) * angle).sin() / (angle / 2).sin()


_TABLE: dict[str, Callable[[Any, Any], Tensor]] = {
    "hermite_polynomial_h": partial(_polynomial, lambda x: x + x, _hermite_h),
    "hermite_polynomial_he": partial(_polynomial, lambda x: x, _hermite_he),
    "laguerre_polynomial_l": partial(_polynomial, lambda x: 1 - x, _laguerre),
    "legendre_polynomial_p": partial(_polynomial, lambda x: x, _legendre),
    "chebyshev_polynomial_t": partial(_chebyshev, lambda x: x, _t, above=6),
    "chebyshev_polynomial_u": partial(_chebyshev, lambda x: x + x, _u, above=8),
    "chebyshev_polynomial_v": partial(_chebyshev, lambda x: x + x - 1, _v, above=8),
    "chebyshev_polynomial_w": partial(_chebyshev, lambda x: x + x + 1, _w, above=8),
    "shifted_chebyshev_polynomial_t": partial(_chebyshev, lambda x: x, _t, above=6, shifted=True),
    "shifted_chebyshev_polynomial_u": partial(
        _chebyshev, lambda x: x + x, _u, above=6, shifted=True
    ),
    "shifted_chebyshev_polynomial_v": partial(
        _chebyshev, lambda x: x + x - 1, _v, above=6, shifted=True
    ),
    "shifted_chebyshev_polynomial_w": partial(
        _chebyshev, lambda x: x + x + 1, _w, above=4, shifted=True
    ),
}


def _decompositions() -> dict[object, Callable[..., Tensor]]:
    return {
        getattr(getattr(torch.ops.aten, f"special_{name}"), overload): how
        for name, how in _TABLE.items()
        for overload in ("default", "x_scalar", "n_scalar")
    }


FAMILY = Family("polynomials", decompositions=_decompositions())
