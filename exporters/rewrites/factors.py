"""`x * (k / q)` where the number is computed of sizes: torch's exporter takes it for a constant.

MViT scales relative positions by the ratio of two lengths, and stopped at it: torchlib makes the
number of add.Scalar, mul.Scalar and sub.Scalar a tensor while the model is written. Here what has
no number yet is cast to the type of the other side, as a node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset18 as op
from onnxscript.function_libs.torch_lib.ops import core

from exporters.rewrites import Family


def _translation(own: Callable[..., Any], node: Callable[..., Any]) -> Callable[..., Any]:
    def translated(self: Any, other: Any, alpha: float = 1.0) -> Any:
        if not isinstance(other, ir.Value):
            return own(self, other) if alpha == 1.0 else own(self, other, alpha=alpha)
        number: Any = other
        if alpha != 1.0:
            scale: Any = op.Constant(value_float=alpha)
            number = op.Mul(number, op.CastLike(scale, number))
        return node(self, op.CastLike(number, self))

    return translated


_aten = torch.ops.aten
FAMILY = Family(
    "factors",
    translations={
        _aten.add.Scalar: _translation(core.aten_add_scalar, op.Add),
        _aten.mul.Scalar: _translation(core.aten_mul_scalar, op.Mul),
        _aten.sub.Scalar: _translation(core.aten_sub_scalar, op.Sub),
    },
)
