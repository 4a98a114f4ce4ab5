"""`einsum` as products of matrices.

ONNX Runtime 1.31 dies (SIGFPE) of an Einsum that moves axes of an operand in which one is empty:
`bqhd,bkhd->bhqk` over a cache that starts at 0, any attention over 0 rows. And it fuses attention
that is written with MatMul. And it knows no complex numbers, of which those of a state space are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from string import ascii_letters
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true

from exporters.rewrites import Family

_ATEN = torch.ops.aten


def _einsum(equation: str, tensors: Sequence[Tensor], path: Sequence[int] | None = None) -> Any:
    """From left to right, as PyTorch has it unless opt_einsum gave a `path`, which rounds alike.

    Not here: diagonals (`ii`), sizes of 1 that are broadcast, and what has no product.
    """
    terms, result = _parsed(equation, [t.dim() for t in tensors])
    if (
        len(tensors) < 2
        or any(len(term) != t.dim() for term, t in zip(terms, tensors, strict=True))
        or any(len({*term}) < len(term) for term in terms)
        or any(t.dtype == torch.bool for t in tensors)
        or _broadcasts(terms, tensors)
    ):
        return NotImplemented
    left, (had, *others) = tensors[0], terms
    for number, (right, has) in enumerate(zip(tensors[1:], others, strict=True), 1):
        needed = "".join(others[number:]) + result
        last = number == len(others)
        wanted = result if last else "".join(dict.fromkeys(c for c in had + has if c in needed))
        left, had = _complex(left, had, right, has, wanted), wanted
    return left


def _complex(x: Tensor, had: str, y: Tensor, has: str, wanted: str) -> Tensor:
    """The product, of which ONNX has real ones only."""
    parts = [torch.view_as_real(t).unbind(-1) if t.is_complex() else (t,) for t in (x, y)]
    products = [_product(p, had, q, has, wanted) for p in parts[0] for q in parts[1]]
    if len(products) == 1:
        return products[0]
    if len(products) == 2:
        return torch.complex(*products)
    real, one, other, minus = products
    return torch.complex(real - minus, one + other)


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; without `->`, those that occur once, after
    the axes of an ellipsis, which get letters of their own."""
    taken, arrow, result = equation.replace(" ", "").partition("->")
    terms = taken.split(",")
    covered = [rank - len(t) + len("...") for t, rank in zip(terms, ranks, strict=True)]
    most = max((n for t, n in zip(terms, covered, strict=True) if "..." in t), default=0)
    free = "".join(c for c in ascii_letters if c not in taken)[:most]
    if not arrow:
        result = "..." + "".join(sorted(c for c in {*taken} - {*".,"} if taken.count(c) == 1))
    spelled = [t.replace("...", free[most - n :]) for t, n in zip(terms, covered, strict=True)]
    return spelled, result.replace("...", free)


def _broadcasts(terms: Sequence[str], tensors: Sequence[Tensor]) -> bool:
    """Is a letter 1 somewhere and, as far as is known, not everywhere?"""
    ones: dict[str, set[bool]] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for letter, size in zip(term, tensor.shape, strict=True):
            ones.setdefault(letter, set()).add(statically_known_true(size == 1))
    return any(len(found) > 1 for found in ones.values())


def _product(x: Tensor, had: str, y: Tensor, has: str, wanted: str) -> Tensor:
    """`had,has->wanted` of distinct letters each."""
    x, had = _summed(x, had, has + wanted)
    y, has = _summed(y, has, had + wanted)
    both = [c for c in had if c in has]
    inner, batch = [c for c in both if c not in wanted], [c for c in wanted if c in both]
    rows, columns = [c for c in had if c not in both], [c for c in has if c not in both]
    if not inner or not (rows or columns):
        order = [*wanted, *inner]
        product = _aligned(x, had, order) * _aligned(y, has, order)
        return product.sum(list(range(len(wanted), len(order)))) if inner else product
    sizes = dict(zip(had + has, (*x.shape, *y.shape), strict=True))
    left = _grouped(x, had, batch, rows, inner, sizes)
    right = _grouped(y, has, batch, inner, columns, sizes)
    found = left @ right
    if not len(rows) == len(columns) == 1:
        found = found.reshape([sizes[c] for c in (*batch, *rows, *columns)])
    return _ordered(found, [*batch, *rows, *columns], wanted)


def _summed(x: Tensor, had: str, needed: str) -> tuple[Tensor, str]:
    """Without the axes that nothing else has."""
    axes = [axis for axis, c in enumerate(had) if c not in needed]
    return (x.sum(axes) if axes else x), "".join(c for c in had if c in needed)


def _aligned(x: Tensor, had: str, order: Sequence[str]) -> Tensor:
    """With the axes of `order`, of size 1 where it has none."""
    x = _ordered(x, had, [c for c in order if c in had])
    for axis, c in enumerate(order):
        if c not in had:
            x = x.unsqueeze(axis)
    return x


def _grouped(
    x: Tensor,
    had: str,
    batch: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    sizes: dict[str, Any],
) -> Tensor:
    """[*batch, first, second], the axes of either group as one."""
    x = _ordered(x, had, [*batch, *first, *second])
    if len(first) == len(second) == 1:
        return x
    return x.reshape(
        [sizes[c] for c in batch] + [prod(sizes[c] for c in g) for g in (first, second)]
    )


def _ordered(x: Tensor, had: Sequence[str], order: Sequence[str]) -> Tensor:
    places = [had.index(c) for c in order]
    return x if places == sorted(places) else x.permute(places)


FAMILY = Family("products", decompositions={_ATEN.einsum.default: _einsum})
