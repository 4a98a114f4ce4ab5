"""Whether named arrays are the same, without keeping them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """SHA-256 of names, dtypes, shapes and values; the order of the names does not matter."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype} {array.shape} ".encode())
        sha.update(array.view(np.uint8).data)  # a buffer has no bfloat16
    return sha.digest()
