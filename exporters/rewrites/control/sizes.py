"""Numbers and conditions that are not known while tracing: sizes, values, and tests of them.

torch.export takes every size for 2 or more: `n == 1` is False and `n > 0` True there, whatever was
declared. Here a comparison is decided over the declared range, or left open.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import Any

import sympy
import torch
from torch import SymBool, SymFloat, SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import (
    ShapeEnv,
    free_symbols,
    free_unbacked_symbols,
    statically_known_true,
)
from torch.utils._sympy.functions import FloorDiv, PythonMod
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

from exporters.declared import MOST, every, only
from exporters.rewrites.control.known import known

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_RELATIONS: dict[str, Any] = {
    "<": sympy.Lt,
    "<=": sympy.Le,
    ">": sympy.Gt,
    ">=": sympy.Ge,
    "==": sympy.Eq,
    "!=": sympy.Ne,
}


@dataclass(frozen=True)
class Open:
    """A condition that both outcomes are possible of: a bool tensor without dimensions."""

    tensor: Tensor
    assumed: SymBool | bool | None = None
    """What torch makes of it where it tests sizes: asked for its value, it narrows the program."""


def compared(symbol: str, left: Any, right: Any) -> Any:
    """`left symbol right`, decided over the declared sizes, or open."""
    result = _OPERATORS[symbol](left, right)
    if not any(isinstance(n, (SymInt, SymFloat)) for n in (left, right)):
        return result
    if not all(isinstance(n, (int, float, SymInt, SymFloat)) for n in (left, right)):
        return result
    known = _decided(symbol, left, right)
    if known is not None:
        return known
    return Open(_OPERATORS[symbol](as_tensor(left), as_tensor(right)), result)


def condition(test: Any) -> bool | Open:
    """The truth of anything that stands in a test."""
    if isinstance(test, (bool, Open)):
        return test
    if isinstance(test, (SymInt, SymFloat)):
        found: bool | Open = compared("!=", test, 0)
        return found
    if isinstance(test, SymBool):
        if statically_known_true(test) or statically_known_true(torch.sym_not(test)):
            return bool(test)
        return Open(_outcome(test), test)
    if isinstance(test, Tensor) and is_traced(test) and statically_known_true(test.numel() == 1):
        if (number := known(test)) is not None:
            return bool(number)
        one = test.reshape(())
        return Open(one if one.dtype == torch.bool else one != 0)
    return bool(test)


def decided(test: Any) -> Tensor:
    """The truth of anything that stands in a test, as a tensor."""
    which = condition(test)
    return which.tensor if isinstance(which, Open) else torch.full((), which, dtype=torch.bool)


def _outcome(test: SymBool) -> Tensor:
    """A tensor that holds it: only a branch takes a condition on sizes as it is."""
    some = torch.zeros((), dtype=torch.bool)  # a subgraph has at least one input
    ways = (lambda no: (~no,), lambda no: (no.clone(),))
    found: Tensor = torch.ops.higher_order.cond(test, *ways, (some,))[0]
    return found


def limits_a_size(assumed: Any) -> bool:
    """Does torch, asked for the value, narrow the range of one size and nothing else?

    Only such a guard is seen when the program is held against the signature.
    """
    if not isinstance(assumed, SymBool) or free_unbacked_symbols(assumed):
        return False
    relation = assumed.node.expr
    sides = getattr(relation, "args", ())
    return (
        isinstance(relation, sympy.core.relational.Relational)
        and any(side.is_Symbol for side in sides)
        and any(side.is_number for side in sides)
    )


def is_traced(tensor: Tensor) -> bool:
    return isinstance(tensor, torch._subclasses.fake_tensor.FakeTensor)


def as_tensor(number: Any) -> Tensor:
    """A tensor without dimensions, in the precision of Python's numbers."""
    if isinstance(number, (bool, SymBool)):
        number = int(number)
    whole = isinstance(number, (int, SymInt))
    return torch.scalar_tensor(number, dtype=torch.int64 if whole else torch.float64)


def stacked(items: Sequence[Any]) -> Tensor:
    """Tensors of one shape, or numbers, along a new first axis, in the dtype that holds all."""
    tensors = [item if isinstance(item, Tensor) else as_tensor(item) for item in items]
    dtype = reduce(torch.promote_types, (one.dtype for one in tensors))
    return torch.stack([one.to(dtype) for one in tensors])


def in_rows(shape: Sequence[Any]) -> list[Any]:
    """The strides of a tensor that lies in memory row by row."""
    lengths = (max(n, 1) if isinstance(n, int) else n for n in reversed(shape[1:]))
    steps = [*accumulate(lengths, operator.mul, initial=1)]
    return steps[::-1] if len(shape) else []


def is_number(value: Any) -> bool:
    """Of Python's kind, known or not."""
    return isinstance(value, (int, float, SymInt, SymFloat)) and not isinstance(value, bool)


def is_of_value(number: Any) -> bool:
    """A number that comes of a tensor's value: a subgraph cannot ask for it, as for a size."""
    return isinstance(number, SymInt) and bool(free_unbacked_symbols(number))


def is_open(number: Any) -> bool:
    """A size or a value that has no number yet."""
    return isinstance(number, (SymInt, SymFloat)) and bool(free_symbols(number))


def settled(number: Any) -> int | None:
    """The number, if it is one at all declared sizes: chunks of 128 in a text of 2 to 24 tokens."""
    if not is_open(number):
        return int(number)
    known = only(number.node.shape_env, number.node.expr)
    return int(known) if isinstance(known, sympy.Integer) else None


def _decided(symbol: str, left: Any, right: Any) -> bool | None:
    """The outcome, if it is the same for all declared sizes."""
    env = next(n.node.shape_env for n in (left, right) if isinstance(n, (SymInt, SymFloat)))
    terms = [sympy.sympify(n.node.expr if hasattr(n, "node") else n) for n in (left, right)]
    if terms[0] == terms[1]:
        return bool(_OPERATORS[symbol](0, 0))
    free = set().union(*(t.free_symbols for t in terms))
    # Symbols of torch's are positive, and sympy decides by that: others stand in.
    wide = {s: sympy.Symbol(f"wide_{n}", integer=True) for n, s in enumerate(free)}
    ranges = {wide[s]: _declared(env, s) for s in free}
    left, right = (t.xreplace(wide) for t in terms)
    relation = _RELATIONS[symbol](left, right)
    if relation in (sympy.true, sympy.false):
        return bool(relation)
    for form in (relation, _RELATIONS[symbol](_difference(left, right), 0)):
        try:
            bounds = bound_sympy(form, ranges)
        except Exception:  # functions that torch has no bounds for
            return None
        if bounds.is_singleton():
            return bool(bounds.lower)
    return _tried_out(symbol, terms, env)


def _difference(left: sympy.Expr, right: sympy.Expr) -> sympy.Expr:
    """By which it is plain that h <= h + (-h % 8), and that n <= 8 + 8 * (n // 8)."""
    rests = (left - right).replace(FloorDiv, lambda a, b: (a - PythonMod(a, b)) / b)
    found: sympy.Expr = sympy.expand(rests)
    return found


def _tried_out(symbol: str, terms: list[sympy.Expr], env: ShapeEnv) -> bool | None:
    """At every declared size, where they are few: no multiple of 32 is 7 sixteen times over."""
    seen = set()
    for at in every(env, terms, MOST):
        left, right = (t.xreplace(at) for t in terms)
        if not (left.is_number and right.is_number):
            return None
        seen.add(bool(_OPERATORS[symbol](left, right)))
        if len(seen) > 1:
            return None
    return seen.pop() if seen else None


def _declared(env: ShapeEnv, symbol: sympy.Symbol) -> ValueRanges[Any]:
    """The range of a size as the export was told, not as the tracer clamps it to 2 and more."""
    own = env.var_to_range[symbol]
    if own.lower != 2 or symbol not in env.backed_var_to_val:
        return own
    least = 0
    for tracked in env.tracked_fakes or ():
        limits = getattr(tracked.symbolic_context, "constraint_sizes", None) or ()
        for size, limit in zip(getattr(tracked.fake, "shape", ()), limits, strict=False):
            if limit is not None and isinstance(size, SymInt):
                if size.node.expr == symbol:
                    least = max(least, int(limit.vr.lower))
                elif symbol in size.node.expr.free_symbols:  # of 8*n at least 8
                    least = max(least, min(1, int(limit.vr.lower)))
    return ValueRanges(least, own.upper)
