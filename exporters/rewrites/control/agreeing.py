"""Branches on sizes after which one formula says what both ways say.

    if length % 8:                                      pad = 8 - length % 8 if length % 8 else 0
        x = F.pad(x, (0, 0, 0, 8 - length % 8))         # is -length % 8

An If of ONNX has results of which nothing is known of the size; what follows (a reshape into chunks
of 8) could not be traced. But the padded length is right for both ways. What is said of sizes is
tried out at all that were declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sympy
import torch
from torch import SymBool, SymInt
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.functions import FloorDiv
from torch.utils._sympy.interp import sympy_interp
from torch.utils._sympy.reference import PythonReferenceAnalysis

from exporters.declared import every

_MOST = 4_096
"""Sizes, or pairs of them, at which expressions are computed: each takes some 0.1 ms."""


def formula(test: SymBool | bool | None, one: Any, other: Any) -> Any:
    """What is `one` where the test holds and `other` where not; None where no formula is known."""
    if not isinstance(test, SymBool):
        return None
    for candidate in _candidates(one, other):
        terms = [expression(n) for n in (test, candidate, one, other)]
        each = _at_each(test.node.shape_env, terms)
        if all(found == (a if holds else b) for holds, found, a, b in each):
            return candidate
    return None


def covers(test: SymBool | bool | None, outcome: bool, pairs: Iterable[tuple[Any, Any]]) -> bool:
    """Are the two sizes of each pair the same wherever the test has that outcome?"""
    if not isinstance(test, SymBool):
        return False
    terms = [expression(test), *(expression(n) for pair in pairs for n in pair)]
    return all(
        holds is (not outcome) or all(a == b for a, b in zip(sizes[::2], sizes[1::2], strict=True))
        for holds, *sizes in _at_each(test.node.shape_env, terms)
    )


def plainest(number: Any) -> Any:
    """A size by a shorter name: of floor(4 * ((h // 8 + 0.1) / 4)) that is h // 8."""
    if not isinstance(number, SymInt):
        return number
    own = number.node.expr
    for part in sorted(own.atoms(FloorDiv, sympy.Symbol) - {own}, key=str):
        found = list(_at_each(number.node.shape_env, [own, part]))
        if all(a == b for a, b in found):
            shorter = recorded(number.node.shape_env.create_symintnode(part, hint=None))
            return number if shorter is None else shorter
    return number


def recorded(size: Any) -> Any:
    """A size anew, such that the program that is traced says how it is computed; None where torch
    has no way to say it."""
    if not isinstance(size, SymInt):
        return size
    env, own = size.node.shape_env, size.node.expr
    known = {s: env.create_symintnode(s, hint=None) for s in own.free_symbols}
    try:
        found = sympy_interp(PythonReferenceAnalysis, known, own)
    except (TypeError, NotImplementedError, AttributeError):  # some functions are of numbers only
        return None
    return found if isinstance(found, (int, SymInt)) else None


def _candidates(one: Any, other: Any) -> Iterator[Any]:
    """Of numbers, either of them, and what people write a branch for."""
    for number in (one, other):
        yield number
        if isinstance(number, SymInt):
            yield torch.sym_max(number, 0)
            for constant in sorted(map(int, number.node.expr.atoms(sympy.Integer)), reverse=True):
                if constant > 1:
                    yield number % constant


def expression(of: Any) -> sympy.Basic:
    """Of a size, a number or a test. Nothing is recorded of it."""
    return of.node.expr if isinstance(of, (SymInt, SymBool)) else sympy.sympify(of)


def _at_each(env: ShapeEnv, terms: Sequence[sympy.Basic]) -> Iterator[list[Any]]:
    """The terms at all declared sizes; once, undecided, where these are not known or too many."""
    known = False
    for at in every(env, terms, _MOST):
        known = True
        yield [_value(t.xreplace(at)) for t in terms]
    if not known:
        yield [sympy.Dummy() for _ in terms]


def _value(of: Any) -> Any:
    return bool(of) if of in (sympy.true, sympy.false) else of
