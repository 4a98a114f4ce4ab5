"""What code changes beside its variables: attributes of modules, and lists and dicts in reach.

Modules keep masks and tables of the last sizes between calls: a mask that is made when the length
changes, tables of sines that grow, a dict of them by size. A module that has been run asks whether
what it keeps still fits. An exporter is to see it as it was made, when there was nothing to ask
about; and what code that is tried out leaves behind is put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

_GROWN = ("_modules", "_parameters")
"""Where layers and weights are that a first call made: its numbers are the model's from then on."""


class Kept:
    """Which objects containers hold, to that depth; not the numbers in a tensor."""

    def __init__(self, roots: Iterable[Any], depth: int) -> None:
        self._held: list[tuple[Any, Any]] = []
        self._seen: set[int] = set()
        for root in roots:
            self.add(root, depth)

    def add(self, value: Any, depth: int) -> None:
        if not depth or id(value) in self._seen:
            return
        self._seen.add(id(value))
        below: Iterable[Any] = ()
        if isinstance(value, dict):
            self._held.append((value, dict(value)))
            below = list(value.values())
        elif isinstance(value, list):
            self._held.append((value, list(value)))
            below = value
        elif isinstance(value, set):
            self._held.append((value, set(value)))
        elif isinstance(value, tuple):
            below = value
        for inner in below:
            self.add(inner, depth - 1)

    def put_back(self) -> bool:
        """Everything as it was; True where something had changed."""
        changed = False
        for own, before in self._held:
            if _differs(own, before):
                changed = True
                own.clear()
                own.extend(before) if isinstance(own, list) else own.update(before)
        return changed


def kept(module: nn.Module) -> Kept:
    """The attributes and buffers of all its modules, and the lists and dicts among them.

    Lazy modules, which only become what they are in their first call, are left alone.
    """
    held = Kept((), 0)
    for part in module.modules():
        if not isinstance(part, LazyModuleMixin):
            held.add(vars(part), 1)
            for name, value in vars(part).items():
                if name not in _GROWN:
                    held.add(value, 1)
    return held


def _differs(own: Any, before: Any) -> bool:
    if isinstance(own, set):
        return bool(own != before)
    if isinstance(own, list):
        return len(own) != len(before) or any(a is not b for a, b in zip(own, before, strict=True))
    return own.keys() != before.keys() or any(own[k] is not before[k] for k in before)
