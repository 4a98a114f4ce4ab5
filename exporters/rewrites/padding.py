"""Replicated borders of which one is negative: the last pixel stands for what was cut off.

`F.pad(x, (-4, 5), mode="replicate")` of four pixels is the last of them five times. ONNX's Pad cuts
first, and has nothing left to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family

_ATEN = torch.ops.aten


def _replicated(x: Tensor, padding: Sequence[int]) -> Any:
    if not any(isinstance(n, int) and n < 0 for n in padding):
        return NotImplemented
    for axis, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True), 1):
        size = x.shape[-axis]
        places = torch.arange(before + size + after, device=x.device) - before
        x = x.index_select(-axis, places.clamp(0, size - 1))
    return x


def _padded(x: Tensor, padding: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    return _replicated(x, padding) if mode == "replicate" else NotImplemented


FAMILY = Family(
    "padding",
    decompositions={
        _ATEN.pad.default: _padded,
        _ATEN.replication_pad1d.default: _replicated,
        _ATEN.replication_pad2d.default: _replicated,
        _ATEN.replication_pad3d.default: _replicated,
    },
)
