"""The example that a tracer sees: drawn from the signature, or given where it says `in data`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from toolkit import examples
from toolkit.examples import Feeds
from toolkit.model import to_tensor
from toolkit.signature import Signature

_MOST_NUMBERS = 2**26


def example(signature: Signature, given: Sequence[Feeds] = ()) -> tuple[torch.Tensor, ...]:
    """One tensor an input, at sizes that tracers tell apart where there is a choice."""
    _, feeds = examples.sample(signature, given)
    return tuple(to_tensor(feeds[s.name], s.dtype) for s in signature.inputs)


def from_above(signature: Signature, *, apart: bool) -> tuple[torch.Tensor, ...] | None:
    """An example at the upper ends, or just below where two would be the same.

    None where values are not drawn, or would be too many.
    """
    sizes: dict[str, int] = {}
    for dim in signature.dims:
        taken = sizes.values() if apart else ()
        sizes[dim.name] = next((n for n in reversed(dim.legal) if n not in taken), dim.legal[-1])
    numbers = sum(prod(s.shape_for(sizes)) for s in signature.inputs)
    if signature.from_data or numbers > _MOST_NUMBERS:
        return None
    feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
    return tuple(to_tensor(feeds[s.name], s.dtype) for s in signature.inputs)


def axes(shape: tuple[int | str, ...]) -> dict[int, str]:
    """Axis number to dimension name, for the dynamic axes of a shape."""
    return {axis: name for axis, name in enumerate(shape) if isinstance(name, str)}
