"""What code changes besides its variables: attributes of modules, and lists and dicts in reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

_models: list[nn.Module] = []


@contextmanager
def watching(model: nn.Module) -> Iterator[None]:
    _models.append(model)
    try:
        yield
    finally:
        _models.pop()


class Effects:
    """The state of containers before code runs; `undone` afterwards tells whether it differs."""

    def __init__(self, roots: Sequence[Any]) -> None:
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._others: list[tuple[Any, Any]] = []
        seen: set[int] = set()
        for model in _models:
            for module in model.modules():
                self._add(vars(module), seen, depth=2)
        for root in roots:
            self._add(root, seen, depth=3)

    def _add(self, value: Any, seen: set[int], depth: int) -> None:
        if id(value) in seen or not depth:
            return
        seen.add(id(value))
        if isinstance(value, dict):
            self._others.append((value, dict(value)))
            below = list(value.values())
        elif isinstance(value, list):
            self._lists.append((value, list(value)))
            below = value
        elif isinstance(value, set):
            self._others.append((value, set(value)))
            return
        elif isinstance(value, tuple):
            below = list(value)
        else:
            return
        for inner in below:
            self._add(inner, seen, depth - 1)

    def undone(self) -> bool:
        """Put everything back; True where something had changed."""
        changed = False
        for own, before in self._lists:
            if len(own) != len(before) or any(a is not b for a, b in zip(own, before, strict=True)):
                changed, own[:] = True, before
        for own, before in self._others:
            if _differs(own, before):
                changed = True
                own.clear()
                own.update(before)
        return changed


@contextmanager
def restored(lists: Sequence[Any]) -> Iterator[None]:
    """Lists hold afterwards what they hold now."""
    before = [(own, list(own)) for own in lists if isinstance(own, list)]
    try:
        yield
    finally:
        for own, items in before:
            own[:] = items


def _differs(own: Any, before: Any) -> bool:
    if isinstance(own, set):
        return bool(own != before)
    return own.keys() != before.keys() or any(own[k] is not before[k] for k in before)
