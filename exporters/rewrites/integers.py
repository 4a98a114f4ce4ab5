"""Arithmetic with sizes: `int(x.shape[-1])` stays a size, and `//` rounds down.

Python's int() asks a symbolic size for its number, and the program holds for that number alone
(MobileNet's padding, for one). While a model is traced, the modules that its classes are defined in
see an `int` that leaves sizes as they are; for anything else it is Python's.

ONNX's Div rounds whole numbers towards zero, Python's // down: `-(-n // 4)`, the usual way to round
a quotient up, came out one too small. And the least of two sizes (how far a chunk of Mamba-2 is
padded) stopped torch's pass that inserts assertions, which called min() on nodes of the graph. Bits
of a size (`1 << (n - 1).bit_length()`, the next power of two) were taken for those of a tensor.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from onnxscript import ir, opset18 as op
from torch import nn
from torch.utils._sympy.reference import PythonReferenceAnalysis

from exporters.rewrites import Family

_PACKAGE = "transformers.models."


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, int)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, int)


class _Int(metaclass=_Kind):
    """What stands for `int`: called, and asked whether something is one."""

    def __new__(cls, value: Any = 0, *rest: Any, **named: Any) -> Any:
        if isinstance(value, (torch.SymInt, torch.SymFloat)):
            return torch.sym_int(value)
        return int(value, *rest, **named)


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    names = {type(m).__module__ for m in model.modules()}
    spaces = [vars(sys.modules[n]) for n in names if n.startswith(_PACKAGE)]
    spaces = [space for space in spaces if "int" not in space]
    for space in spaces:
        space["int"] = _Int
    extremes = {"minimum": torch.sym_min, "maximum": torch.sym_max}
    before = {name: vars(PythonReferenceAnalysis)[name] for name in extremes}
    for name, function in extremes.items():
        setattr(PythonReferenceAnalysis, name, staticmethod(_of_nodes(function)))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(PythonReferenceAnalysis, name, function)
        for space in spaces:
            del space["int"]


def _of_nodes(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The function, or a node that calls it where an argument is a node itself."""

    def called(a: Any, b: Any) -> Any:
        node = next((v for v in (a, b) if isinstance(v, torch.fx.Proxy)), None)
        if node is None:
            return function(a, b)
        return node.tracer.create_proxy("call_function", function, (a, b), {})

    return called


def _count(tensor: Any) -> Any:
    """A function of its own: torch cannot read the signature of `op.Size`."""
    return op.Size(tensor)


def _floordiv(number: Any, divisor: Any) -> Any:
    """(a - a mod b) / b is exact; Mod without fmod has the sign of the divisor, as in Python."""
    return op.Div(op.Sub(number, op.Mod(number, divisor)), divisor)


def _bitwise(of_numbers: Callable[..., Any], of_truths: Callable[..., Any]) -> Callable[..., Any]:
    def found(a: Any, b: Any) -> Any:
        kinds = [bool if isinstance(v, bool) else getattr(v, "dtype", int) for v in (a, b)]
        truths = any(kind in (bool, ir.DataType.BOOL) for kind in kinds)
        return (of_truths if truths else of_numbers)(a, b)

    return found


def _power_of_two(exponent: Any) -> Any:
    two: Any = op.Constant(value_int=2)
    return op.Pow(two, exponent)


FAMILY = Family(
    "integers",
    tracing=_tracing,
    translations={
        torch.ops.aten.sym_numel.default: _count,
        operator.floordiv: _floordiv,
        operator.lshift: lambda number, by: op.Mul(number, _power_of_two(by)),
        operator.rshift: lambda number, by: _floordiv(number, _power_of_two(by)),
        operator.and_: _bitwise(op.BitwiseAnd, op.And),
        operator.or_: _bitwise(op.BitwiseOr, op.Or),
    },
)
