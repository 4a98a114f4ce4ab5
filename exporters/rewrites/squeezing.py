"""`squeeze` of an axis that has a dynamic size: torch takes it for 2 or more and leaves the axis.

torch's exporter writes the Squeeze all the same, which then fails at every size (the joint network
of Parakeet TDT, of which the audio's axis or the text's has one entry).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true

from exporters.rewrites import Family

_ATEN = torch.ops.aten


def _squeeze(x: Tensor, dims: int | Sequence[int]) -> Any:
    if x.dim() == 0:
        return NotImplemented
    axes = {axis % x.dim() for axis in ([dims] if isinstance(dims, int) else dims)}
    known = {axis for axis in axes if statically_known_true(x.shape[axis] == 1)}
    if known == axes:
        return NotImplemented
    if not known:
        return _ATEN.alias.default(x)
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in known])


FAMILY = Family(
    "squeezing", decompositions={_ATEN.squeeze.dim: _squeeze, _ATEN.squeeze.dims: _squeeze}
)
