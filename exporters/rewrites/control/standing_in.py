"""Python's functions of numbers and sequences, of what has no number yet while it is traced."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils import _pytree as pytree

from exporters.rewrites.control import sequences
from exporters.rewrites.control.sizes import is_open, is_traced
from exporters.rewrites.control.stacked import Unknown
from exporters.rewrites.control.tables import FUNCTIONS, is_looked_up, tabled


def of_numbers(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """A function of Python's by its name in the user's code, also of what has no number yet."""
    # While it traces, torch has a max and a min of its own: of sizes, but not of their ratios.
    pythons = getattr(function, "keywords", {}).get("real_callable", function)
    ours = _stand_in(pythons)
    open_ = any(is_open(a) or isinstance(a, Unknown) for a in arguments)
    if ours is None or (pythons is not function and not open_):
        return function(*arguments, **keywords)
    return ours(*arguments, **keywords)


def _stand_in(function: Any) -> Callable[..., Any] | None:
    of = getattr(function, "__self__", None)
    if isinstance(of, Tensor):
        return partial(_like, of) if function.__name__ == "new_tensor" else None
    return _STANDING_IN.get(function) if _hashable(function) else None


def _like(of: Tensor, data: Any, **keywords: Any) -> Tensor:
    """`of.new_tensor(data)`, which asks for the numbers in it."""
    if not any(map(is_open, pytree.tree_leaves(data))):
        return of.new_tensor(data, **keywords)
    kind: dict[str, Any] = {"dtype": of.dtype, "device": of.device} | keywords
    return torch.tensor(data, **kind)


def _hashable(value: Any) -> bool:
    return type(value).__hash__ is not None


def _whole(of: Any) -> Any:
    if is_looked_up(of):
        return tabled(int, of)
    if isinstance(of, Tensor) and is_traced(of):
        return of.to(torch.int64).item()
    return torch.sym_int(of) if is_open(of) else int(of)


def _floating(of: Any) -> Any:
    if isinstance(of, Tensor) and is_traced(of):
        return of.to(torch.float64).item()
    return torch.sym_float(of) if is_open(of) else float(of)


def _truth(of: Any = False) -> Any:
    if isinstance(of, Tensor) and is_traced(of):
        return of.reshape(()).to(torch.bool)
    return bool(of)


def _extreme(ours: Callable[[Any, Any], Any], pythons: Callable[..., Any]) -> Callable[..., Any]:
    def found(*arguments: Any) -> Any:
        if isinstance(arguments[0], Unknown):
            (numbers,) = (of.tensor() for of in arguments)
            return (numbers.max() if ours is torch.sym_max else numbers.min()).item()
        if len(arguments) > 1 and any(is_open(a) for a in arguments):
            return reduce(ours, arguments)
        return pythons(*arguments)

    return found


def _made(own: Callable[..., Any], dtype: torch.dtype | None = None) -> Callable[..., Any]:
    """A function that makes a tensor of a list of numbers."""

    def found(of: Any, *arguments: Any, **keywords: Any) -> Any:
        if not isinstance(of, Unknown):
            return own(of, *arguments, **keywords)
        tensor = of.tensor()
        wanted = keywords.get("dtype") or dtype
        return tensor if wanted is None else tensor.to(wanted)

    return found


def _by_table(own: Callable[..., Any]) -> Callable[..., Any]:
    def found(*arguments: Any, **keywords: Any) -> Any:
        if keywords or not any(map(is_open, arguments)):
            return own(*arguments, **keywords)
        return tabled(own, *arguments)

    return found


_STANDING_IN: dict[Any, Callable[..., Any]] = {
    **{function: _by_table(function) for function in FUNCTIONS},
    torch.tensor: _made(torch.tensor),
    torch.as_tensor: _made(torch.as_tensor),
    torch.Tensor: _made(torch.Tensor, torch.float32),
    torch.LongTensor: _made(torch.LongTensor, torch.int64),
    torch.FloatTensor: _made(torch.FloatTensor, torch.float32),
    builtins.range: sequences.ranged,
    builtins.len: sequences.length,
    builtins.list: sequences.listed,
    builtins.tuple: sequences.tupled,
    builtins.enumerate: sequences.numbered,
    builtins.zip: sequences.paired,
    pad_sequence: sequences.padded,
    itertools.product: sequences.crossed,
    itertools.pairwise: sequences.adjacent,
    builtins.sum: sequences.summed,
    builtins.bool: _truth,
    builtins.int: _whole,
    builtins.float: _floating,
    builtins.max: _extreme(torch.sym_max, builtins.max),
    builtins.min: _extreme(torch.sym_min, builtins.min),
}
