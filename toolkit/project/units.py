"""Amounts as people write them."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> float | None:
    """`30s`, `2m`, `500ms` or a plain number of seconds; None for anything else."""
    if isinstance(value, bool):
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", str(value))
    return float(found[1]) * _SECONDS[found[2]] if found else None
