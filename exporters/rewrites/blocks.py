"""`mask[i, start:end] = 0` of bounds that are values: a number, at the places within.

torch.export asks of such a bound whether it counts from the end, and how long the slice is. Which
places are within is a comparison (the attention of a row of pictures, as Pixtral has it).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import SymInt, Tensor

from exporters.rewrites.control.sizes import as_tensor, is_of_value, is_traced

_WHOLE = slice(None)


def fill(target: Tensor, index: Any, value: Any) -> bool:
    """Write a number there, if it is slices and numbers and one of the slices ends at a value; else
    False, and nothing was done."""
    parts = _by_axis(index if isinstance(index, tuple) else (index,), target.dim())
    if not isinstance(value, (bool, int, float)) or not any(map(_ends_at_value, parts)):
        return False
    if not all(map(_is_plain, parts)):
        return False
    within = torch.ones((), dtype=torch.bool)
    for axis, part in enumerate(parts):
        if part != _WHOLE:
            inside = _inside(part, target.shape[axis])
            within = within & inside.reshape(-1, *[1] * (target.dim() - axis - 1))
    if not (target.is_floating_point() or target.is_complex()):
        value = bool(value) if target.dtype == torch.bool else int(value)  # as an assignment does
    target.masked_fill_(within, value)
    return True


def _by_axis(parts: tuple[Any, ...], axes: int) -> tuple[Any, ...]:
    """Without `...`."""
    at = next((n for n, part in enumerate(parts) if part is Ellipsis), len(parts))
    before, behind = parts[:at], parts[at + 1 :]
    return (*before, *[_WHOLE] * (axes - len(before) - len(behind)), *behind)


def _ends_at_value(part: Any) -> bool:
    return isinstance(part, slice) and any(map(_is_value, (part.start, part.stop)))


def _is_value(end: Any) -> bool:
    return is_traced(end) if isinstance(end, Tensor) else is_of_value(end)


def _is_plain(part: Any) -> bool:
    if isinstance(part, slice):
        return part.step in (None, 1)
    return isinstance(part, (int, SymInt)) and not isinstance(part, bool)


def _inside(part: Any, size: Any) -> Tensor:
    """Which places of so many the slice takes, or the number."""
    places = torch.arange(size)
    if not isinstance(part, slice):
        return places == _from_start(part, size)
    start = torch.zeros((), dtype=torch.int64) if part.start is None else part.start
    within = places >= _from_start(start, size)
    return within if part.stop is None else within & (places < _from_start(part.stop, size))


def _from_start(end: Any, size: Any) -> Tensor:
    at = end if isinstance(end, Tensor) else as_tensor(end)
    return torch.where(at < 0, at + size, at)
