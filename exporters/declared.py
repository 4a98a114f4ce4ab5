"""Which sizes the signature of the model that is exported allows, by torch's symbols for them.

torch.export knows the ends of a range. That an image's side is a multiple of 32 it only holds the
program against, when it is traced: no decision on the way is made by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import product
from math import prod

import sympy
from torch import SymInt
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from toolkit.signature import Signature

MOST = 256
"""Sizes, or pairs of them, at which an expression is computed: each takes some 0.1 ms."""

_signature: ContextVar[Signature | None] = ContextVar("signature", default=None)
_INPUT = re.compile(r"L\['tensors'\]\[(\d+)\]")


@contextmanager
def declaring(signature: Signature) -> Iterator[None]:
    """While a model of this signature is exported."""
    token = _signature.set(signature)
    try:
        yield
    finally:
        _signature.reset(token)


def legal(env: ShapeEnv, symbol: sympy.Symbol) -> Sequence[int]:
    """All values that a symbol of torch's may have; empty where it is no dimension of an input."""
    signature = _signature.get()
    for tracked in (env.tracked_fakes or ()) if signature else ():
        found = _INPUT.fullmatch(tracked.source.name)
        if not found or signature is None:
            continue
        spec = signature.inputs[int(found[1])]
        for size, name in zip(tracked.fake.shape, spec.shape, strict=True):
            if isinstance(size, SymInt) and isinstance(name, str):
                times, inner = size.node.expr.as_coeff_Mul()
                if inner == symbol:
                    return [n // int(times) for n in signature.dim(name).legal]
    return ()


def every(
    env: ShapeEnv, terms: Iterable[sympy.Basic], most: int
) -> Iterator[dict[sympy.Basic, sympy.Basic]]:
    """The values of the terms' symbols, all together; none where not all are known, or too many."""
    symbols = sorted(set().union(*(t.free_symbols for t in terms)), key=str)
    choices = [legal(env, s) for s in symbols]
    for sizes in product(*choices) if prod(map(len, choices)) <= most else ():
        yield dict(zip(symbols, map(sympy.Integer, sizes), strict=True))


def only(env: ShapeEnv, term: sympy.Basic, where: Sequence[sympy.Basic] = ()) -> sympy.Basic | None:
    """What the term is at all declared sizes at which the others are true, if it is one."""
    found = set()
    for at in every(env, (*where, term), MOST):
        try:
            *holds, value = (t.xreplace(at) for t in (*where, term))
        except ZeroDivisionError:  # at a size at which nobody asks
            return None
        if all(one == sympy.true for one in holds):
            found.add(value)
            if len(found) > 1:
                return None
    return found.pop() if found else None
