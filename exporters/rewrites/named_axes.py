"""einx, whose axes have names: `einx.subtract("i, j -> i j", ends, starts)`.

It writes a function for the sizes that it sees, and so takes every size for a number: the distances
between positions in x-transformers were refused at every length but that of the example. What it
does to each element alone is written here with the sizes left open; the rest is left to it.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, reduce
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from exporters.rewrites import Family

_SAME = (
    *("add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "logaddexp"),
    *("logical_and", "logical_or", "maximum", "minimum", "where"),
    *("less", "less_equal", "greater", "greater_equal", "not_equal"),
)
_EACH: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in _SAME},
    "equal": torch.eq,
}
_INPUT = re.compile(r"([A-Za-z_]\w*|1|\.\.\.|\s)*")
_GROUP = re.compile(r"\(([^()]*)\)|([^\s()]+)")


def _call(own: Callable[..., Any], each: Any, description: str, *given: Any, **more: Any) -> Any:
    """einx's `own`, unless all that is written is understood here: then `each`, of torch."""
    before, _, after = description.partition("->")
    written = before.split(",")
    texts = [*written, re.sub(r"[()]", " ", after)]
    if more or len(written) != len(given) or not all(map(_INPUT.fullmatch, texts)):
        return own(description, *given, **more)
    pairs = list(zip(given, written, strict=True))
    ranks = [x.dim() + 1 - len(text.split()) for x, text in pairs if "..." in text]
    rest = " ".join(f"_{n}" for n in range(max(ranks, default=0)))
    groups = [
        (several or one).split() for several, one in _GROUP.findall(after.replace("...", rest))
    ]
    order = [name for group in groups for name in group if name != "1"]
    names = [text.replace("...", rest).split() for _, text in pairs]
    if any(_is_left(its, order) for its in names):
        return own(description, *given)
    aligned = [_aligned(x, its, order) for x, its in zip(given, names, strict=True)]
    found: Tensor = each(*aligned) if each is torch.where else reduce(each, aligned)
    if groups == [[name] for name in order]:
        return found
    sizes = dict(zip(order, found.shape, strict=True))
    return found.reshape([math.prod(sizes.get(name, 1) for name in group) for group in groups])


def _is_left(names: Sequence[str], order: Sequence[str]) -> bool:
    """Diagonals, and axes that are in no result."""
    own = [name for name in names if name != "1"]
    return len(set(own)) < len(own) or not set(own) <= set(order)


def _aligned(x: Any, names: Sequence[str], order: Sequence[str]) -> Any:
    """With its axes in that order, one of a single element for each that it lacks."""
    if not isinstance(x, Tensor):
        return x
    x = x.squeeze([at for at, name in enumerate(names) if name == "1"])
    own = [name for name in names if name != "1"]
    x = x.permute([own.index(name) for name in order if name in own])
    return x[tuple(slice(None) if name in own else None for name in order)]


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    einx = sys.modules.get("einx")
    with ExitStack() as stack:
        for name, each in _EACH.items() if einx else ():
            own = getattr(einx, name)
            stack.enter_context(mock.patch.object(einx, name, partial(_call, own, each)))
        yield


FAMILY = Family("named axes", tracing=_tracing)
