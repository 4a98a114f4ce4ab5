"""A copy of a module that is whole by itself, its hooks included.

copy.deepcopy takes functions as they are. A hook that keeps features (`lambda *_, found:
self.features.append(found)`), registered on a layer, would keep those of the copy in the original.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

from torch import nn

_DEPTH = 4
"""Of functions that functions hold."""


def copied(module: nn.Module) -> nn.Module:
    """Raises what the module's own `__deepcopy__` raises."""
    copies: dict[int, Any] = {}
    made = copy.deepcopy(module, copies)
    for part in made.modules():
        attributes = vars(part)
        for places in (attributes, *(v for v in attributes.values() if isinstance(v, dict))):
            for name, value in places.items():
                if isinstance(value, FunctionType):
                    places[name] = _turned(value, copies, _DEPTH)
    return made


def _turned(value: Any, copies: Mapping[int, Any], depth: int) -> Any:
    """What is to stand for the value in the copy: of a function, one that holds the copies."""
    if not isinstance(value, FunctionType):
        return copies.get(id(value), value)
    held = [_content(cell) for cell in value.__closure__ or ()]
    turned = [_turned(one, copies, depth - 1) for one in held] if depth else held
    if all(a is b for a, b in zip(held, turned, strict=True)):
        return value
    cells = tuple(map(CellType, turned))
    made = FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, cells
    )
    made.__kwdefaults__ = value.__kwdefaults__
    vars(made).update(vars(value))
    return made


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None
