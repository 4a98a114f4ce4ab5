"""Dicts by size, of modules and among globals: masks and tables of all the sizes there were.

    if length not in self.masks:
        self.masks[length] = torch.ones(length, length).tril()

A size that has no number yet has no hash either: while a model is traced, its expression has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

from torch import SymBool, SymFloat, SymInt, nn

_TORCHS = frozenset(vars(nn.Module()))


@contextmanager
def by_size(model: nn.Module) -> Iterator[None]:
    """Its modules' own dicts take sizes for keys; what is put there meanwhile is forgotten."""
    own = [
        (vars(part), name, value)
        for part in model.modules()
        for name, value in vars(part).items()
        if is_by_size(value) and name not in _TORCHS
    ]
    for attributes, name, value in own:
        attributes[name] = BySize(value)
    try:
        yield
    finally:
        for attributes, name, value in own:
            attributes[name] = value


def is_by_size(value: Any) -> TypeGuard[dict[Any, Any]]:
    """A dict that has no other keys than numbers, or several of them."""
    return type(value) is dict and all(isinstance(key, (int, float, tuple)) for key in value)


class BySize(dict[Any, Any]):
    def __contains__(self, key: Any) -> bool:
        return super().__contains__(_hashed(key))

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_hashed(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_hashed(key), value)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(_hashed(key))

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_hashed(key), default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return super().setdefault(_hashed(key), default)

    def pop(self, key: Any, *default: Any) -> Any:
        return super().pop(_hashed(key), *default)


def _hashed(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_hashed, key))
    return key.node.expr if isinstance(key, (SymInt, SymFloat, SymBool)) else key
