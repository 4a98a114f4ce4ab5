"""What was freed goes back to the system: a heap that large arrays have gone through keeps them.

glibc takes blocks of up to 32 MB from its heap once it has seen some of that size, and what lies
between two that are in use stays (mallopt(3), M_MMAP_THRESHOLD). Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache


def give_back() -> None:
    """Takes milliseconds, so it is for models of hundreds of megabytes."""
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # musl has none
            found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
            return found
    return None
