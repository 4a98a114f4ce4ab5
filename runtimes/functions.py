"""Operators that onnx's evaluator rounds to float32, computes very slowly, or not at this size.

Gelu by its expansion is off by 1.5e-8 in float64, Erf is rounded to float32, and so are the places
that GridSample reads: more than what a fault may change. Conv gathers patches in Python:
nine tenths of what EfficientNet took.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, cast

import numpy as np
import torch
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_conv, op_grid_sample
from torch.nn import functional

_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)


class Gelu(OpRun):
    """x Phi(x), or with tanh as Hendrycks and Gimpel approximate it (arxiv.org/abs/1606.08415)."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        wide = x.astype(np.float64)
        if approximate == "tanh":
            inner = np.tanh(sqrt(2 / pi) * (wide + 0.044715 * wide**3))
        else:
            inner = _erf(wide / sqrt(2))
        return (np.asarray(0.5 * wide * (1 + inner), x.dtype),)


class Erf(OpRun):
    """The error function."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (np.asarray(_erf(x.astype(np.float64)), x.dtype),)


class Conv(op_conv.Conv):
    """By torch, in float64; onnx's own where the padding is named or there are other axes."""

    op_domain = ""

    def _run(  # type: ignore[override]  # attributes come by name
        self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, **told: Any
    ) -> tuple[np.ndarray]:
        axes = x.ndim - 2
        named = told["auto_pad"] not in (None, "NOTSET")
        if named or x.dtype != np.float64 or not x.size or not 0 < axes <= len(_CONVOLUTIONS):
            found: tuple[np.ndarray] = cast("Any", super())._run(x, w, b, **told)
            return found
        ones = (1,) * axes
        pads = told["pads"] or (0,) * (2 * axes)
        around = [n for axis in reversed(range(axes)) for n in pads[axis::axes]]
        out = _CONVOLUTIONS[axes - 1](
            functional.pad(torch.tensor(x), around),
            torch.tensor(w),
            None if b is None else torch.tensor(b),
            stride=tuple(told["strides"] or ones),
            dilation=tuple(told["dilations"] or ones),
            groups=told["group"] or 1,
        )
        return (out.numpy(),)


class GridSample(op_grid_sample.GridSample):
    """By torch, in float64; onnx's own where it is cubic, which torch pads another way."""

    op_domain = ""

    def _run(  # type: ignore[override]  # attributes come by name
        self, x: np.ndarray, grid: np.ndarray, **told: Any
    ) -> tuple[np.ndarray]:
        mode = {"linear": "bilinear", None: "bilinear"}.get(told["mode"], told["mode"])
        odd = "cubic" in mode or x.ndim not in (4, 5)
        if odd or x.dtype != np.float64 or not (x.size and grid.size):
            found: tuple[np.ndarray] = cast("Any", super())._run(x, grid, **told)
            return found
        out = functional.grid_sample(
            torch.tensor(x),
            torch.tensor(grid, dtype=torch.float64),
            mode,
            told["padding_mode"] or "zeros",
            bool(told["align_corners"]),
        )
        return (out.numpy(),)


class GatherElements(OpRun):
    """onnx's own chooses among at most 64 rows (numpy.choose)."""

    op_domain = ""

    def _run(self, data: np.ndarray, indices: np.ndarray, axis: int = 0) -> tuple[np.ndarray]:
        within = [slice(0, n) for n in indices.shape]
        within[axis] = slice(None)
        return (np.take_along_axis(data[tuple(within)], indices, axis),)


def _erf(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = torch.special.erf(torch.tensor(x)).numpy()
    return found


EXACT: list[type[OpRun]] = [Gelu, Erf, Conv, GridSample, GatherElements]
