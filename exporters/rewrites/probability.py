"""Functions of the normal distribution: erfinv, erfcx, and through it log_ndtr; ndtri.

ONNX has erf alone. torchlib's erfcx is exp(x^2) erfc(x), which is inf times zero above 10.

And a distribution (torch.distributions.Normal) asks whether its parameters are what they may be,
which a program that is traced cannot: while tracing it asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf, nan, pi
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from exporters.rewrites import Family
from exporters.rewrites.series import floating, polynomial

# log(erfcx(x) / t) as a Chebyshev series in 2 t - 1, where t = 2 / (2 + x): interpolated at 28
# nodes in float64, the form of W. H. Press et al., Numerical Recipes, 6.2. Within 2e-14.
_ERFCX = (
    -0.6513268598908546,
    0.6419697923564901,
    0.019476473204185805,
    -0.00956151478680881,
    -0.000946595344481989,
    0.00036683949785281826,
    4.252332480701131e-05,
    -2.0278578112605965e-05,
    -1.6242900047004825e-06,
    1.3036558357390086e-06,
    1.5626441529636992e-08,
    -8.523809543906477e-08,
    6.529053805540538e-09,
    5.0593441499760925e-09,
    -9.91365085261415e-10,
    -2.273642068268649e-10,
    9.646689003162123e-11,
    2.3951396421750815e-12,
    -6.887268533262159e-12,
    8.954821011692665e-13,
    3.1190922860397614e-13,
    -1.114505313434425e-13,
)

# ndtri: Cephes, as in aten/src/ATen/native/Math.h (3-clause BSD, Stephen L. Moshier).
_NDTRI_CENTRE = (
    (
        -5.99633501014107895267e1,
        9.80010754185999661536e1,
        -5.66762857469070293439e1,
        1.39312609387279679503e1,
        -1.23916583867381258016,
    ),
    (
        1.0,
        1.95448858338141759834,
        4.67627912898881538453,
        8.63602421390890590575e1,
        -2.25462687854119370527e2,
        2.00260212380060660359e2,
        -8.20372256168333339912e1,
        1.59056225126211695515e1,
        -1.18331621121330003142,
    ),
)
_NDTRI_TAIL = (
    (
        4.05544892305962419923,
        3.15251094599893866154e1,
        5.71628192246421288162e1,
        4.40805073893200834700e1,
        1.46849561928858024014e1,
        2.18663306850790267539,
        -1.40256079171354495875e-1,
        -3.50424626827848203418e-2,
        -8.57456785154685413611e-4,
    ),
    (
        1.0,
        1.57799883256466749731e1,
        4.53907635128879210584e1,
        4.13172038254672030440e1,
        1.50425385692907503408e1,
        2.50464946208309415979,
        -1.42182922854787788574e-1,
        -3.80806407691578277194e-2,
        -9.33259480895457427372e-4,
    ),
)
_NDTRI_FAR = (
    (
        3.23774891776946035970,
        6.91522889068984211695,
        3.93881025292474443415,
        1.33303460815807542389,
        2.01485389549179081538e-1,
        1.23716634817820021358e-2,
        3.01581553508235416007e-4,
        2.65806974686737550832e-6,
        6.23974539184983293730e-9,
    ),
    (
        1.0,
        6.02427039364742014255,
        3.67983563856160859403,
        1.37702099489081330271,
        2.16236993594496635890e-1,
        1.34204006088543189037e-2,
        3.28014464682127739104e-4,
        2.89247864745380683936e-6,
        6.79019408009981274425e-9,
    ),
)
_EXP_MINUS_2 = 0.13533528323661269189


def _ratio(x: Tensor, table: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    return polynomial(x, table[0]) / polynomial(x, table[1])


def _erfcx(x: Tensor) -> Tensor:
    """exp(x^2) erfc(x); left of zero 2 exp(x^2) - erfcx(-x)."""
    x = floating(x)
    t = 2 / (2 + x.abs())
    right = t * _clenshaw(2 * t - 1).exp()
    left = torch.where(x < 0, x, 0.0)
    return torch.where(x < 0, 2 * (left * left).exp() - right, right)


def _clenshaw(s: Tensor) -> Tensor:
    last, before = torch.zeros_like(s), torch.zeros_like(s)
    for coefficient in reversed(_ERFCX[1:]):
        last, before = 2 * s * last - before + coefficient, last
    return s * last - before + _ERFCX[0]


def _erfinv(y: Tensor) -> Tensor:
    """By the normal quantile: Newton's method on erf loses digits where erf is nearly 1."""
    y = floating(y)
    size = y.abs()
    x = _quantile(size / 2, (1 - size) / 2) * 0.5**0.5
    x = torch.where(size == 1, inf, torch.where(size > 1, nan, x))
    return torch.where(y < 0, -x, x)


def _ndtri(y: Tensor) -> Tensor:
    y = floating(y)
    upper = y > 0.5
    half = (y - 0.5).abs()
    x = _quantile(half, torch.where(upper, 1 - y, y))
    x = torch.where(upper, x, -x)
    x = torch.where(y == 0, -inf, torch.where(y == 1, inf, x))
    return torch.where((y < 0) | (y > 1), nan, x)


def _quantile(half: Tensor, tail: Tensor) -> Tensor:
    """The x >= 0 that the normal distribution exceeds with probability `tail` = 1/2 - `half`."""
    near = half.clamp(max=0.5)
    square = near * near
    centre = (near + near * square * _ratio(square, _NDTRI_CENTRE)) * (2 * pi) ** 0.5
    x = (-2 * tail.clamp(max=_EXP_MINUS_2).log()).sqrt()
    z = 1 / x
    far = z * torch.where(x < 8, _ratio(z, _NDTRI_TAIL), _ratio(z, _NDTRI_FAR))
    return torch.where(tail > _EXP_MINUS_2, centre, x - x.log() / x - far)


def _functions() -> dict[object, Callable[[Tensor], Tensor]]:
    aten = torch.ops.aten
    return {
        aten.special_erfcx.default: _erfcx,
        aten.erfinv.default: _erfinv,
        aten.special_ndtri.default: _ndtri,
    }


def _tracing(_: nn.Module) -> AbstractContextManager[Any]:
    return mock.patch.object(Distribution, "_validate_args", False)


FAMILY = Family("probability", tracing=_tracing, decompositions=_functions())
