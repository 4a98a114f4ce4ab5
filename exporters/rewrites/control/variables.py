"""The variables of a function that its closures share: their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CellType, FunctionType
from typing import Any

CLOSURE = "__onnxport_"
"""How the names of the closures begin that `syntax.py` makes."""


class Variables:
    """Those of `names` that the closures share; what is not bound is left out when read."""

    def __init__(self, closures: Sequence[Callable[..., Any]], names: Iterable[str]) -> None:
        self._all: dict[str, CellType] = {}
        for closure in closures:
            self._add(closure)
        self._cells = {n: self._all[n] for n in names if n in self._all}

    def _add(self, closure: Callable[..., Any]) -> None:
        free = closure.__code__.co_freevars
        ours = closure.__module__.startswith(__package__)
        for name, cell in zip(free, closure.__closure__ or (), strict=True):
            if any(cell is known for known in self._all.values()):
                continue
            self._all[f"{name} {len(self._all)}" if name in self._all else name] = cell
            # What follows a branch, or stands on the right of an `or`, is a closure that it calls.
            if (ours or name.startswith(CLOSURE)) and is_bound(cell):
                for called in _functions(cell.cell_contents):
                    self._add(called)

    def read(self) -> dict[str, Any]:
        return _contents(self._cells)

    def in_reach(self) -> dict[str, Any]:
        """Everything that the closures name, assigned or not."""
        return _contents(self._all)

    def write(self, values: Mapping[str, Any]) -> None:
        """Bind the names to the values, and unbind those without one."""
        for name, cell in self._cells.items():
            if name in values:
                cell.cell_contents = values[name]
            elif is_bound(cell):
                del cell.cell_contents

    def rebind(self, name: str, value: Any) -> None:
        self._all[name].cell_contents = value


def _functions(value: Any) -> list[FunctionType]:
    several = value if isinstance(value, tuple) else (value,)
    return [one for one in several if isinstance(one, FunctionType)]


def is_bound(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _contents(cells: Mapping[str, CellType]) -> dict[str, Any]:
    return {name: cell.cell_contents for name, cell in cells.items() if is_bound(cell)}
