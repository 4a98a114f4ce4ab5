"""The example that a tracer sees, drawn from the signature: what both exporters here start from."""

from __future__ import annotations

import numpy as np
import torch

from toolkit import examples
from toolkit.model import to_tensor
from toolkit.signature import Signature


def example(signature: Signature) -> tuple[torch.Tensor, ...]:
    """One tensor an input, at `examples.example_sizes`, with values inside their ranges."""
    sizes = examples.example_sizes(signature)
    feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
    return tuple(to_tensor(feeds[s.name], s.dtype) for s in signature.inputs)


def axes(shape: tuple[int | str, ...]) -> dict[int, str]:
    """Axis number to dimension name, for the dynamic axes of a shape."""
    return {axis: name for axis, name in enumerate(shape) if isinstance(name, str)}
