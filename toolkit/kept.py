"""What modules keep between calls beside their weights: masks and tables of the last sizes.

A mask that is made when the length changes, tables of sines that grow: a module that has been run
asks whether what it keeps still fits. An exporter is to see it as it was made, when there was
nothing to ask about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin


def kept(module: nn.Module) -> Callable[[], None]:
    """Remember the attributes and buffers of all its modules; the call puts them back.

    Which tensor a name stands for, not the numbers in it. Lazy modules, which only become what they
    are in their first call, are left alone.
    """
    places: list[dict[str, Any]] = []
    for part in module.modules():
        if not isinstance(part, LazyModuleMixin):
            places += vars(part), part._buffers
    return partial(_put_back, [(place, dict(place)) for place in places])


def _put_back(places: list[tuple[dict[str, Any], Mapping[str, Any]]]) -> None:
    for place, before in places:
        for name in place.keys() - before.keys():
            del place[name]
        place.update(before)
