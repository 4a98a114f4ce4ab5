"""Sums of powers and of Chebyshev polynomials, which the special functions are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def floating(x: Tensor) -> Tensor:
    """Whole numbers as the default floating type, as every function of torch.special takes them."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Horner's rule, highest power first."""
    result = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


def chebyshev(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Clenshaw's recurrence on x in -2..2, last coefficient halved: `chbevl` of Cephes."""
    before, last = torch.zeros_like(x), torch.full_like(x, coefficients[0])
    older = before
    for coefficient in coefficients[1:]:
        older, before, last = before, last, x * last - before + coefficient
    return 0.5 * (last - older)
