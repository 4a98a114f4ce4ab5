"""What the processor multiplies bytes with, which decides what int8 weights may look like.

Without VNNI, ONNX Runtime's uint8 x int8 kernels on x86 add pairs of products in 16 bits
(vpmaddubsw) and saturate; weights of 7 bits do not (onnxruntime docs, "reduce_range").
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


@cache
def flags() -> frozenset[str]:
    """The instruction-set flags of this processor; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    line = next((x for x in lines if x.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def saturates() -> bool:
    """True on x86 without a byte dot product in 32 bits, and where that cannot be told."""
    return platform.machine().lower() in ("x86_64", "amd64") and not flags() & _VNNI


def describe() -> str:
    """`x86_64 with avx2` or `x86_64 with avx512_vnni`: the best of the flags that matter here."""
    ranked = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "asimddp", "asimd")
    best = next((f for f in ranked if f in flags()), "")
    return platform.machine() + (f" with {best}" if best else "")
