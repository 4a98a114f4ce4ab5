"""Sizes of padded images, which torch writes so long that its export takes minutes or never ends.

Windows of 7 (DaViT, Swin, SAM 2) need the next multiple of 7: `h + (7 - h % 7) % 7`, divided by 7,
and again for each block of each stage. Torch keeps the remainders; here that sum is 7 * ((h + 6) //
7), which a division ends. And in (a * g) // (b * g), whose factor g is known, the rest is divided
term by term, where torch had sympy.simplify find it in five seconds each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

import sympy
from torch import nn
from torch.fx.experimental import sym_node
from torch.utils._sympy import functions

from exporters.rewrites import Family


@cache
def divided(quotient: sympy.Expr) -> sympy.Expr:
    """A fraction of polynomials in lowest terms; what they are of (remainders, say) stays."""
    kept = _Kept()
    found: sympy.Expr = kept.back(sympy.cancel(kept.symbols(quotient)))
    return found


@cache
def common(left: sympy.Expr, right: sympy.Expr) -> sympy.Expr:
    """The greatest common divisor of two polynomials, that torch looks for in short ones only."""
    kept = _Kept()
    found: sympy.Expr = kept.back(sympy.gcd(kept.symbols(left), kept.symbols(right)))
    return found


class _Kept:
    """Symbols in the places of all that is no sum, product or power: sympy looks into nothing."""

    def __init__(self) -> None:
        self._names: dict[sympy.Expr, sympy.Symbol] = {}

    def symbols(self, expression: sympy.Expr) -> sympy.Expr:
        if expression.is_number or expression.is_Symbol:
            return expression
        if expression.is_Add or expression.is_Mul:
            return expression.func(*map(self.symbols, expression.args))
        if expression.is_Pow and expression.exp.is_Integer:
            return sympy.Pow(self.symbols(expression.base), expression.exp)
        return self._names.setdefault(expression, sympy.Dummy(integer=True))

    def back(self, expression: sympy.Expr) -> sympy.Expr:
        return expression.xreplace({name: whole for whole, name in self._names.items()})


def multiple(size: sympy.Expr, more: sympy.Expr) -> sympy.Expr | None:
    """The sum as the next multiple of q, if `more` is what `size` lacks to it: -size modulo q."""
    if not isinstance(more, _REMAINDERS) or not more.args[1].is_Integer or more.args[1] <= 0:
        return None
    negative, q = more.args
    for term in sympy.Add.make_args(negative):
        inner = -term
        if isinstance(inner, _REMAINDERS) and inner.args[1] == q:
            negative += inner - inner.args[0]
    rests = [sympy.expand(negative + size)]
    if q == 2:  # to the next even number it is as far as to the one below
        rests.append(sympy.expand(negative - size))
    if not any(rest.is_Integer and rest % q == 0 for rest in rests):
        return None
    return q * functions.FloorDiv(size + q - 1, q)


_REMAINDERS = (functions.Mod, functions.PythonMod)


def _adding(own: Callable[..., tuple[bool, sympy.Expr]]) -> Callable[..., tuple[bool, sympy.Expr]]:
    def add(left: sympy.Expr, right: sympy.Expr, *more: Any) -> tuple[bool, sympy.Expr]:
        found = multiple(left, right) or multiple(right, left)
        return own(left, right, *more) if found is None else (False, found)

    return add


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    theirs = ModuleType("sympy")  # as FloorDiv sees it
    vars(theirs).update(vars(sympy), simplify=divided)
    with (
        mock.patch.object(functions, "sympy", theirs),
        mock.patch.object(functions, "safe_gcd", common),
        mock.patch.object(sym_node, "_optimized_add", _adding(sym_node._optimized_add)),
    ):
        yield


FAMILY = Family("quotients", tracing=_tracing)
