"""How far two arrays are apart, in numbers. Pure; in float64; NaN never passes for small."""

from __future__ import annotations

import numpy as np


def max_abs_error(reference: np.ndarray, candidate: np.ndarray) -> float:
    """max |r - c| over arrays of one shape; 0.0 where they are empty, NaN where either holds one.

    Integers are subtracted as floats: 3 - 5 is -2 for unsigned ones too. Equal infinities differ
    by 0. Raises ValueError where the shapes differ: nothing is broadcast.
    """
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {candidate.shape}")
    r, c = reference.astype(np.float64), candidate.astype(np.float64)
    if not r.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.where(r == c, 0.0, np.abs(r - c)).max())
