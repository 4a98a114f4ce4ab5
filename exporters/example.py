"""The example that a tracer sees: drawn from the signature, or given where it says `in data`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from toolkit import examples
from toolkit.examples import Feeds
from toolkit.model import to_tensor
from toolkit.signature import Signature


def example(signature: Signature, given: Sequence[Feeds] = ()) -> tuple[torch.Tensor, ...]:
    """One tensor an input, at sizes that tracers tell apart where there is a choice."""
    _, feeds = examples.sample(signature, given)
    return tuple(to_tensor(feeds[s.name], s.dtype) for s in signature.inputs)


def axes(shape: tuple[int | str, ...]) -> dict[int, str]:
    """Axis number to dimension name, for the dynamic axes of a shape."""
    return {axis: name for axis, name in enumerate(shape) if isinstance(name, str)}
