"""Functions and layers that are called as others while a model is traced. No rewrites live here.

For what goes wrong before there is an operator to rewrite: where the call itself fixes a size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode


class _Replacing(TorchFunctionMode):
    def __init__(self, table: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self._table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # What this calls in its turn is not seen: the mode is off in here.
        instead = self._table.get(func)
        if instead is None:
            return func(*args, **(kwargs or {}))
        args, named = placed(args, kwargs or {})
        return instead(*args, **named)


_NAMES = (("input", "tensor", "A"), ("other", "B", "split_size", "split_size_or_sections"))
"""What torch calls its first and second argument."""


def placed(args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """`interpolate(input=x)` as `interpolate(x)`: what is called instead has names of its own."""
    left = dict(named)
    for place, names in enumerate(_NAMES):
        given = [left.pop(name) for name in names if name in left and len(args) == place]
        args = (*args, *given)
    return args, left


@contextmanager
def replacing(table: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    """Call the values of the table in place of its keys, from Python."""
    with _Replacing(table):
        yield


@contextmanager
def forwarding(module: nn.Module, forward: Callable[..., Any], *bound: Any) -> Iterator[None]:
    """Call `forward(module, *bound, ...)` in place of the forward of the module's class."""
    vars(module)["forward"] = partial(forward, module, *bound)
    try:
        yield
    finally:
        del vars(module)["forward"]
