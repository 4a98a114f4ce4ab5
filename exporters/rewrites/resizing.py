"""The scale of a resize with corners aligned: torch asks whether there is more than one pixel.

CSATv2 resizes to its last feature map, which is one pixel for images of 64 and two for 128, and
was refused for one of them. From one pixel on, the formula needs no answer: its place is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import SymInt, nn
from torch._decomp import decompositions

from exporters.rewrites import Family


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    own: Any = decompositions._compute_scale

    def scale(in_size: Any, out_size: Any, align_corners: bool, scale: Any = None) -> Any:
        if align_corners and isinstance(out_size, SymInt):
            return (in_size - 1.0) / torch.sym_max(out_size - 1, 1)
        return own(in_size, out_size, align_corners, scale)

    with mock.patch.object(decompositions, "_compute_scale", scale):
        yield


FAMILY = Family("resizing", tracing=_tracing)
