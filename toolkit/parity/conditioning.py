"""How much rounding can explain: where half of the digits are noise, and what sums lose."""

from __future__ import annotations

from toolkit.parity.expectation import Expectation, Noise, is_lost
from toolkit.parity.verdict import Tolerance

_MOST_ULPS = 2.0**17
"""Sums may excuse at most this many ulps, a change of 1.6 % of the input in float32."""


def unstable(expected: Expectation, noise: Noise) -> set[str]:
    """The floating outputs that one ulp of the input moves by more than half of their digits."""
    return {n for n in expected.plain if is_lost(noise.spread[n], expected, n)}


def sums(terms: int, factor: float = Tolerance.factor) -> tuple[float, float]:
    """Ulps by which each of so many terms may be off alone, and by which all may be together."""
    ulps = min(_MOST_ULPS, float(terms))
    return ulps, ulps / (2 * factor)  # the factor makes it the bound itself
