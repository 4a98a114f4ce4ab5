"""Python's functions of sizes: what they say at each size that was declared, as a table.

    x / math.log2(length)
    padded = 2 ** math.ceil(math.log2(length))

torch.export asks for the number, and the file is right at the traced size alone. A table says what
Python says to the bit, which matters where a logarithm is rounded up. Where the range of sizes is
open or wide, the operator of that name has to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import sympy
import torch
from torch import SymFloat, SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from exporters.declared import legal
from exporters.rewrites.control.sizes import as_tensor, is_open

_MOST = 8_192
"""Rows of a table: 64 KiB."""

_OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(torch, name) for name in ("sqrt", "log", "log2", "log10", "log1p", "exp")},
    **{name: getattr(torch, name) for name in ("expm1", "exp2", "sin", "cos", "tan", "tanh")},
    "fabs": torch.abs,
    "rint": torch.round,
    "round": lambda x: x.round().to(torch.int64),
    "isqrt": lambda x: x.sqrt().floor().to(torch.int64),
    "float32": lambda x: x.to(torch.float32),
}
_SYMBOLIC = ("ceil", "floor", "trunc", "int", "sqrt")
"""What needs no table of a size itself: torch knows it, or its operator rounds as Python does."""

_OF_MATH = {name: value for name, value in vars(math).items() if callable(value)}
_LEFT = ("prod", "pow", "fsum", "isclose", "isfinite", "isnan", "isinf")
"""Those of math that take a list or are known to torch, or answer yes or no."""

_OF_NUMPY = (
    *("sqrt", "log", "log2", "log10", "log1p", "exp", "expm1", "exp2", "sin", "cos", "tan", "tanh"),
    *("ceil", "floor", "rint", "round", "minimum", "maximum", "clip", "square", "float32"),
)

FUNCTIONS = frozenset(
    (
        *(round, divmod, int.bit_length),
        *(value for name, value in _OF_MATH.items() if name not in _LEFT),
        *(getattr(np, name) for name in _OF_NUMPY),
    )
)
"""Functions of numbers that always say the same of the same numbers."""


class _Column(NamedTuple):
    """What a number is at each value of the sizes that it was looked up by."""

    sizes: tuple[sympy.Symbol, ...]
    values: dict[tuple[int, ...], Any]

    def at(self, sizes: dict[sympy.Symbol, int]) -> Any:
        return self.values[tuple(sizes[s] for s in self.sizes)]


_looked_up: WeakKeyDictionary[ShapeEnv, dict[sympy.Symbol, _Column]] = WeakKeyDictionary()


def is_looked_up(number: Any) -> bool:
    """Does it depend on what a table said?"""
    known = _looked_up.get(number.node.shape_env, {}) if is_open(number) else {}
    return bool(known and number.node.expr.free_symbols & known.keys())


def tabled(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function of arguments of which some have no number yet."""
    name, domain = function.__name__, _domain(arguments)
    if domain.rows and (name not in _SYMBOLIC or any(map(is_looked_up, arguments))):
        found = [function(*at) for at in domain.each(arguments)]
        if isinstance(found[0], tuple):
            return tuple(domain.look_up(column) for column in zip(*found, strict=True))
        return domain.look_up(found)
    if name not in _OPERATORS or len(arguments) > 1:
        return function(*arguments)  # torch says for which sizes that holds
    return _OPERATORS[name](as_tensor(arguments[0]).to(torch.float64)).item()


class _Domain(NamedTuple):
    """The declared values of the sizes that numbers depend on."""

    env: ShapeEnv
    sizes: dict[sympy.Symbol, Sequence[int]]

    @property
    def rows(self) -> int:
        """Of a table from the least to the largest; 0 where that is too many, or none is known."""
        rows = math.prod(self._widths())
        return rows if rows <= _MOST else 0

    def _widths(self) -> list[int]:
        return [max(at) - min(at) + 1 if at else 0 for at in self.sizes.values()]

    def each(self, arguments: Sequence[Any]) -> Iterator[list[Any]]:
        """The arguments at each of them."""
        known = _looked_up.get(self.env, {})
        columns = {s: known[s] for s in _symbols(arguments) & known.keys()}
        for values in product(*self.sizes.values()):
            at: dict[sympy.Symbol, Any] = dict(zip(self.sizes, values, strict=True))
            at |= {s: column.at(at) for s, column in columns.items()}
            at = {s: sympy.sympify(value) for s, value in at.items()}
            yield [_number(a, at) if is_open(a) else a for a in arguments]

    def look_up(self, found: Sequence[Any]) -> Any:
        """Of what was found at each, that of the sizes at hand."""
        if all(value == found[0] for value in found):
            return found[0]
        at_each = dict(zip(product(*self.sizes.values()), found, strict=True))
        least = [min(at) for at in self.sizes.values()]
        table, row = np.full(self._widths(), found[0]), torch.zeros((), dtype=torch.int64)
        for at, value in at_each.items():
            table[tuple(np.subtract(at, least))] = value
        for symbol, width, start in zip(self.sizes, table.shape, least, strict=True):
            size = as_tensor(self.env.create_symintnode(symbol, hint=None))
            row = row * width + (size - start)
        number: Any = torch.from_numpy(table.ravel()).index_select(0, row.reshape(1)).item()
        if isinstance(number, SymInt):
            torch._check(number >= int(table.min()))
            torch._check(number <= int(table.max()))
        column = _Column(tuple(self.sizes), at_each)
        _looked_up.setdefault(self.env, {})[number.node.expr] = column
        return number


def _domain(arguments: Sequence[Any]) -> _Domain:
    env = next(a for a in arguments if is_open(a)).node.shape_env
    known = _looked_up.get(env, {})
    symbols = {b for s in _symbols(arguments) for b in (known[s].sizes if s in known else [s])}
    return _Domain(env, {s: legal(env, s) for s in sorted(symbols, key=str)})


def _symbols(arguments: Iterable[Any]) -> set[sympy.Symbol]:
    return {s for a in arguments if is_open(a) for s in a.node.expr.free_symbols}


def _number(of: SymInt | SymFloat, at: dict[sympy.Symbol, sympy.Basic]) -> int | float:
    value = of.node.expr.xreplace(at)
    return int(value) if isinstance(of, SymInt) else float(value)
