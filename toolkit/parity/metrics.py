"""How far two arrays are apart, in numbers. Pure; in float64; NaN never passes for small."""

from __future__ import annotations

import numpy as np


def max_abs_error(reference: np.ndarray, candidate: np.ndarray) -> float:
    """max |r - c| over arrays of one shape; 0.0 where they are empty, NaN where either holds one.

    Integers are subtracted as floats: 3 - 5 is -2 for unsigned ones too. Equal infinities differ
    by 0. Raises ValueError where the shapes differ: nothing is broadcast.
    """
    r, c = _pair(reference, candidate)
    if not r.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.where(r == c, 0.0, np.abs(r - c)).max())


def sqnr(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Signal-to-quantization-noise ratio in dB: 10 log10(sum r^2 / sum (r - c)^2).

    Arrays of one shape. Returns inf where the two are equal. Raises ValueError where the shapes
    differ or the reference is all zeros.
    """
    r, c = _pair(reference, candidate)
    signal = float(np.sum(r * r))
    if signal == 0.0:
        raise ValueError("the reference is all zeros: there is no signal")
    noise = float(np.sum((r - c) ** 2))
    return float("inf") if noise == 0.0 else 10.0 * float(np.log10(signal / noise))


def cosine(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Cosine of the angle between two arrays of one shape, seen as vectors: r.c / (|r| |c|).

    Raises ValueError where the shapes differ or either is all zeros.
    """
    r, c = (a.reshape(-1) for a in _pair(reference, candidate))
    lengths = float(np.linalg.norm(r) * np.linalg.norm(c))
    if lengths == 0.0:
        raise ValueError("an array of zeros has no direction")
    return float(np.dot(r, c)) / lengths


def top1_agreement(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The share of rows [..., classes] whose largest entry is at the same place in both.

    Raises ValueError where the shapes differ or there is no row.
    """
    r, c = _pair(reference, candidate)
    if r.ndim == 0 or not r.size:
        raise ValueError("no rows to compare")
    return float(np.mean(r.argmax(-1) == c.argmax(-1)))


def _pair(reference: np.ndarray, candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {candidate.shape}")
    return reference.astype(np.float64), candidate.astype(np.float64)
