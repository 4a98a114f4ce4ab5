"""`squeeze` of an axis that has a dynamic size: torch takes it for 2 or more and leaves the axis.

torch's exporter writes the Squeeze all the same, which then fails at every size (the joint network
of Parakeet TDT, of which the audio's axis or the text's has one entry). Of no axes, or of a number
without any, it has nothing to write.
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
    given = [dims] if isinstance(dims, int) else dims
    axes = {axis % x.dim() for axis in given if x.dim()}
    known = {axis for axis in axes if statically_known_true(x.shape[axis] == 1)}
    if not known:
        return _ATEN.alias.default(x)
    if known == axes:
        return NotImplemented
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in known])


FAMILY = Family(
    "squeezing", decompositions={_ATEN.squeeze.dim: _squeeze, _ATEN.squeeze.dims: _squeeze}
)
