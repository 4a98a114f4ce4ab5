"""Resizes whose scale is not known while tracing.

With corners aligned torch asks whether there is more than one pixel: CSATv2 resizes to its last
feature map, which is one pixel for images of 64 and two for 128, and was refused for one of them.
From one pixel on, the formula needs no answer: its place is 0.

And of `interpolate(pos, scale_factor=((h // 8 + 0.1) / 4, ...))`, by which DINO fits its positions
to an image, it makes numbers: the file was right for images of the traced size. ONNX's Resize takes
scales as a tensor, and places pixels by them as PyTorch does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import SymInt, Tensor, nn
from torch._decomp import decompositions
from torch.nn import functional as F  # noqa: N812

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing
from exporters.rewrites.control.agreeing import plainest
from exporters.rewrites.control.sizes import as_tensor, is_open

_MODES = {"linear": "linear", "bilinear": "linear", "bicubic": "cubic"}
"""Those of `interpolate` in ONNX. Its nearest goes by the sizes where one is twice the other."""

_CUBIC = -0.75
"""The coefficient of PyTorch's cubic, and of OpenCV's; ONNX's own default, too."""


def _interpolate(
    x: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    several = isinstance(scale_factor, Sequence)
    scales = list(scale_factor) if several else [scale_factor] * (x.dim() - 2)
    by_size = align_corners or recompute_scale_factor
    if not any(map(is_open, scales)) or not (by_size or (mode in _MODES and not antialias)):
        return F.interpolate(
            x, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
        )
    pairs = zip(x.shape[2:], scales, strict=True)
    sizes = [plainest(math.floor(n * scale)) for n, scale in pairs]
    if by_size:
        return F.interpolate(x, sizes, None, mode, align_corners, None, antialias)
    places: dict[str, Any] = {
        "mode": _MODES[mode],
        "coordinate_transformation_mode": "half_pixel",
        "cubic_coeff_a": _CUBIC,
    }
    factors = torch.stack(
        [as_tensor(float(n) if isinstance(n, int) else n) for n in (1, 1, *scales)]
    )
    found: Tensor = torch.onnx.ops.symbolic(
        "Resize",
        [x, None, factors.to(torch.float32)],
        places,
        dtype=x.dtype,
        shape=[*x.shape[:2], *sizes],
        version=13,
    )
    return found


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    own: Any = decompositions._compute_scale

    def scale(in_size: Any, out_size: Any, align_corners: bool, scale: Any = None) -> Any:
        if align_corners and isinstance(out_size, SymInt):
            return (in_size - 1.0) / torch.sym_max(out_size - 1, 1)
        return own(in_size, out_size, align_corners, scale)

    with (
        mock.patch.object(decompositions, "_compute_scale", scale),
        replacing({F.interpolate: _interpolate}),
    ):
        yield


FAMILY = Family("resizing", tracing=_tracing)
