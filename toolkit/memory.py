"""The memory of the machine: how much is free, and what was freed goes back to the system."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path


def available() -> float:
    """Bytes that a program may still take without swapping; inf where the system does not tell."""
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) * 1024 if found else inf
    return inf


def give_back() -> None:
    """What the heap keeps of large arrays that are gone.

    glibc takes blocks of up to 32 MB from its heap once it has freed some of that size, and what
    lies between two that are in use stays (mallopt(3), M_MMAP_THRESHOLD). Elsewhere nothing is
    done. Takes milliseconds, so it is for models of hundreds of megabytes.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # musl has none
            found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
            return found
    return None
