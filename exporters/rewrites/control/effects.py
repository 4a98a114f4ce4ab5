"""What traced code may change besides its variables (`toolkit.kept`), and lists that it may not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from toolkit.kept import Kept

_models: list[nn.Module] = []


@contextmanager
def watching(model: nn.Module) -> Iterator[None]:
    _models.append(model)
    try:
        yield
    finally:
        _models.pop()


def held_by(roots: Sequence[Any]) -> Kept:
    """What the models that are watched and `roots` hold, before code is tried out."""
    found = Kept((vars(part) for model in _models for part in model.modules()), 2)
    for root in roots:
        found.add(root, 3)
    return found


@contextmanager
def restored(lists: Sequence[Any]) -> Iterator[None]:
    """Lists hold afterwards what they hold now."""
    held = Kept((own for own in lists if isinstance(own, list)), 1)
    try:
        yield
    finally:
        held.put_back()
