"""How much rounding can explain: where half of the digits are noise, and what sums lose."""

from __future__ import annotations

import numpy as np

from toolkit.dtypes import DTYPES, epsilon
from toolkit.parity.metrics import scale
from toolkit.parity.reference import Expectation, Noise
from toolkit.parity.verdict import Tolerance

_MOST_ULPS = 2.0**17
"""Sums may excuse at most this many ulps, a change of 1.6 % of the input in float32."""


def unstable(expected: Expectation, noise: Noise) -> set[str]:
    """The floating outputs that one ulp of the input moves by more than half of their digits.

    That is by sqrt(epsilon) of their largest value: 2^11.5 ulps in float32. Models of the zoo are
    moved by 15 ulps at most, MobileNets with random norms by 2,400 to 8,000,000
    (docs/decisions/verdict.md).
    """
    found = set()
    for name, plain in expected.plain.items():
        if DTYPES[str(plain.dtype)].kind == "f":
            lost = np.sqrt(epsilon(str(plain.dtype))) * scale(expected.truth[name])
            if noise.spread[name] > lost > 0.0:
                found.add(name)
    return found


def sums(terms: int, factor: float = Tolerance.factor) -> tuple[float, float]:
    """Ulps by which each of so many terms may be off alone, and by which all may be together."""
    ulps = min(_MOST_ULPS, float(terms))
    return ulps, ulps / (2 * factor)  # the factor makes it the bound itself
