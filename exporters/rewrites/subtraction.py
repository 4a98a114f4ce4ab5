"""`1.0 - x` with whole numbers x: torch's exporter rewrites it to sub(1.0, x) and refuses that.

What torch.export calls rsub(x, 1.0) decomposes into a subtraction from a Python number, and the
exporter's type promotion has no overload for it (XLNet's and ProphetNet's masks).
"""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.rewrites import Family


def _rsub(x: Tensor, number: float, alpha: float = 1) -> Tensor:
    """number - alpha x, as number + (-alpha x) in the dtype of the result."""
    wide = x.to(torch.result_type(x, number))
    return (wide * -alpha) + number


FAMILY = Family("subtraction", decompositions={torch.ops.aten.rsub.Scalar: _rsub})
