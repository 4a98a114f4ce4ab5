"""A signature made narrower: fewer sizes of a dimension, the rest as it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolkit.domain import Choices, Interval
from toolkit.signature import Dim, Signature


def narrowed(signature: Signature, limits: Mapping[str, Sequence[int]]) -> Signature | None:
    """The signature with the sizes of each dimension in `limits` kept from its lowest to highest.

    Outputs are left out: they are observed again. None where a dimension has no size left.
    """
    dims = []
    for dim in signature.dims:
        low, high = limits.get(dim.name, (dim.low, dim.high))
        legal = [n for n in dim.legal if low <= n <= high]
        if not legal:
            return None
        dims.append(replace(dim, sizes=_sizes(dim, legal)))
    return replace(signature, dims=tuple(dims), outputs=())


def _sizes(dim: Dim, legal: Sequence[int]) -> Interval | Choices:
    if isinstance(dim.sizes, Interval):
        return Interval(legal[0], legal[-1], getattr(dim.sizes, "step", None))
    return Choices(tuple(legal))


def in_one_line(signature: Signature) -> str:
    """The text of the inputs as it may be passed to --signature."""
    text = str(replace(signature, outputs=()))
    return "; ".join(" ".join(line.split()) for line in text.splitlines())
