"""Tensors of which it is known that all rows are the same numbers, though not how many there are.

Pictures of one size, a batch of them: `grid_thw.tolist()` then is a list of known numbers.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_ROWS: Any = WeakIdKeyDictionary()


def noted(tensor: Tensor, row: tuple[int, ...] | int) -> Tensor:
    """The tensor, of which from now on each row is known: numbers, or one where it has one axis."""
    _ROWS[tensor] = row
    return tensor


def row_of(tensor: Tensor) -> Any:
    """None where it is not known."""
    return _ROWS.get(tensor)
