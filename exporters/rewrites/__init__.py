"""What torch's exporter gets wrong, and how it is mended: one file a family.

A family is data. `tracing` is a context in which torch.export runs the model (layers and functions
replaced by ones that trace well); `decompositions` rewrite ATen operators of the traced program
into others, in PyTorch; `translations` say in onnxscript what an operator is in ONNX. Each file
begins with the case that made it necessary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from types import CodeType
from typing import Any

from torch import nn
from torch.export import ExportedProgram

Operator = Any
"""A torch._ops.OpOverload."""


@dataclass(frozen=True)
class Family:
    """One kind of rewrite; see above. The functions are called while a model is exported only."""

    name: str
    tracing: Callable[[nn.Module], AbstractContextManager[None]] = lambda _: nullcontext()
    decompositions: Mapping[Operator, Callable[..., Any]] = field(default_factory=dict)
    translations: Mapping[Operator, Callable[..., Any]] = field(default_factory=dict)
    finishing: Callable[[ExportedProgram], ExportedProgram] = lambda program: program
    """What is left to do once the model is traced: it may change the program."""
    relents: Callable[[Iterable[CodeType]], bool] = lambda _: False
    """Given the functions, innermost first, in which tracing stopped or took a size for special:
    does it now treat one of them otherwise, so that the model is worth tracing again?"""


_FAMILIES = (
    "recurrent",
    "attention",
    "flexible",
    "gradients",
    "ctc",
    "losses",
    "pooling",
    "bessel",
    "gamma",
    "linalg",
    "polynomials",
    "probability",
    "control",
    "pointwise",
    "cumulative",
    "sorting",
    "indexing",
    "slicing",
    "ranges",
    "scalars",
    "factors",
    "orthogonal",
    "spectral",
    "fourier",
    "distance",
    "statistics",
    "untraceable",
    "conversions",
    "codecs",
    "experts",
    "integers",
    "subtraction",
    "complexes",
    "batchnorm",
    "strides",
    "resizing",
    "quotients",
    "squeezing",
    "windows",
    "grouped",
    "named_axes",
    "products",
    "padding",
    "wholes",
    "masks",
)
"""The files of this folder that have a FAMILY, in the order in which their contexts are entered."""


def families() -> Iterator[Family]:
    """Every family, imported now."""
    for name in _FAMILIES:
        family: Family = import_module(f"{__name__}.{name}").FAMILY
        yield family
