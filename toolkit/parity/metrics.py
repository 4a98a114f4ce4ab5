"""How far two arrays are apart, in numbers. Pure; in float64; NaN never passes for small."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from toolkit.dtypes import epsilon, smallest_normal
from toolkit.inference.search import largest
from toolkit.parity import blocks


def max_abs_error(reference: np.ndarray, candidate: np.ndarray) -> float:
    """max |r - c| over arrays of one shape; 0.0 where they are empty, NaN where either holds one.

    Integers are subtracted as floats: 3 - 5 is -2 for unsigned ones too. Equal infinities differ
    by 0. Raises ValueError where the shapes differ: nothing is broadcast.
    """
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {candidate.shape}")
    found = [errors(r, c).max(initial=0.0) for r, c in blocks.wide(reference, candidate)]
    return float(np.max(found))


def scale(array: np.ndarray) -> float:
    """The largest finite magnitude of floats; 0.0 where there is none."""
    found = (blocks.finite(wide) for (wide,) in blocks.wide(array))
    return max(float(np.abs(kept).max(initial=0.0)) for (kept,) in found)


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise) of two sums of squares; inf without noise, 0.0 without signal."""
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else 0.0


def below(share: float) -> str:
    """A share as text, rounded down, so that 1 is said of 1 only: 0.99999, never 1.00000."""
    digits = next((n for n in range(4, 15) if round(share, n) < 1), 15)
    return "1" if share >= 1 else f"{np.floor(share * 10**digits) / 10**digits:.{digits}f}"


def errors(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """|r - c| of float64 arrays of one shape; 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        off: np.ndarray = np.abs(reference - candidate)
        return np.where(reference == candidate, 0.0, off) if np.isnan(off).any() else off


def max_rel(off: np.ndarray, reference: np.ndarray) -> float:
    """max |r - c| / |r| where r is not 0; where it is, c counts as infinitely far unless 0 too."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = np.divide(off, np.abs(reference), out=np.zeros_like(off), where=off != 0.0)
    return float(found.max(initial=0.0))


def max_ulps(off: np.ndarray, reference: np.ndarray, dtype: str) -> float:
    """max |r - c| / ulp(r), in the precision of a floating dtype.

    ulp(r) = 2^floor(log2 |r|) times epsilon, and that of the smallest normal number below it
    (Goldberg, What Every Computer Scientist Should Know About Floating-Point Arithmetic, 1991).
    """
    with np.errstate(invalid="ignore"):
        magnitude = np.maximum(np.abs(reference), smallest_normal(dtype), dtype=np.float64)
        # Of a float64 the sign and the mantissa taken away: 2^floor(log2 |r|), inf where it is.
        power = (np.atleast_1d(magnitude).view(np.int64) & _EXPONENT).view(np.float64)
        return float((off / (power * epsilon(dtype))).max(initial=0.0))


_EXPONENT = np.int64(0x7FF0000000000000)
"""The bits of the exponent of a float64 (IEEE 754)."""


def top_agreement(
    reference: np.ndarray, candidate: np.ndarray, counts: Sequence[int]
) -> list[float]:
    """For each k of `counts`, the mean share of the k largest entries of each row that are the same
    ones, in any order.

    Rows are along the last axis, [..., n] with n >= k. 1.0 where there is no row.
    """
    n = reference.shape[-1]
    r, c = (a.reshape(-1, n) for a in (reference, candidate))
    if not len(r):
        return [1.0 for _ in counts]
    ours, theirs = (_largest(a, max(counts)) for a in (r, c))
    same = ours[:, :, None] == theirs[:, None, :]
    return [float(same[:, :k, :k].any(-1).mean()) for k in counts]


def _largest(rows: np.ndarray, k: int) -> np.ndarray:
    """The places [rows, k] of the largest of each row; of equals the first places first."""
    if rows.shape[-1] <= _SORTED:
        return np.argsort(-rows, -1, kind="stable")[:, :k]
    return np.array([largest(row, k) for row in rows])


_SORTED = 256
"""Width of a row that is sorted whole; of 30,000 words a row at a time takes a tenth of that."""


Reading = Callable[[np.ndarray], np.ndarray]


def probabilities_of(rows: np.ndarray, tolerance: float = 1e-3) -> Reading | None:
    """What makes probabilities of rows [..., n > 1] that are such or logarithms of such; else None.

    They are none of them negative (positive), and sum up to 1 within `tolerance`, the largest
    error that a softmax in bfloat16 over a few classes has. NaN is no probability.
    """
    if rows.ndim < 2 or rows.shape[-1] < 2 or not rows.size:
        return None

    def are(wide: np.ndarray, reading: Reading) -> bool:
        signs = wide >= 0 if reading is _same else wide <= tolerance
        if not signs.all():
            return False
        return bool((np.abs(reading(wide).sum(-1) - 1.0) <= tolerance).all())

    for reading in (_same, np.exp):
        if all(are(wide, reading) for (wide,) in blocks.wide(rows, whole=1)):
            return reading
    return None


def _same(rows: np.ndarray) -> np.ndarray:
    return rows


def kl_divergence(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The largest sum p log(p / q) over rows [..., n] of probabilities, in nats.

    Kullback and Leibler, On Information and Sufficiency, 1951. inf where q is 0 and p is not.
    """
    p, q = reference.astype(np.float64, copy=False), candidate.astype(np.float64, copy=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return max(0.0, float(terms.sum(-1).max(initial=0.0)))
