"""One thing to export: a call of a module or a function, its tensors made inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from toolkit.domain import Choices, Interval
from toolkit.signature import Signature, TensorSpec


@dataclass(frozen=True)
class Case:
    """`build` makes what `toolkit.source` loads, deterministically; it may raise."""

    name: str
    build: Callable[[], Any]
    unseen: Callable[[], Any] | None = None
    """The same with examples that the exporter is not shown, where values come from them only."""
    meaningless: str = ""
    """Why ONNX cannot say what the case does: then it is not tried."""


class Call(nn.Module):
    """A call whose tensors are inputs and whose other arguments are constants."""

    def __init__(self, called: Callable[..., Any], arguments: Any, keywords: Any) -> None:
        super().__init__()
        leaves, self._tree = pytree.tree_flatten((arguments, keywords))
        self._constants = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self._inputs = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        self.tensors = [leaf.detach().clone() for leaf in leaves if isinstance(leaf, Tensor)]
        self.called = called

    def forward(self, *tensors: Tensor) -> Any:
        leaves = list(self._constants)
        for at, tensor in zip(self._inputs, tensors, strict=True):
            leaves[at] = tensor
        arguments, keywords = pytree.tree_unflatten(leaves, self._tree)
        return self.called(*arguments, **keywords)

    def differs_in_values_only(self, other: Call) -> bool:
        """Are these two calls of one shape, with equal constants?"""
        mine, theirs = ([(t.shape, t.dtype) for t in c.tensors] for c in (self, other))
        same = [repr(c._constants) for c in (self, other)]
        return mine == theirs and same[0] == same[1]

    def signature(self) -> Signature:
        """Of the sample: its shapes, and the range of its values."""
        return Signature(tuple(_spec(f"x{n}", t) for n, t in enumerate(self.tensors)))


@torch.no_grad()
def stir(model: nn.Module) -> None:
    """Noise on every parameter: zeros and ones that models start from hide what is computed."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.numel():
            fan = parameter[0].numel() if parameter.dim() > 1 else 100
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_((noise / max(fan, 1) ** 0.5).to(parameter.dtype))


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    dtype = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(tensor.shape)
    if tensor.dtype == torch.bool or not tensor.numel() or not tensor.isfinite().all():
        return TensorSpec(name, dtype, shape)
    low, high = tensor.min().item(), tensor.max().item()
    if low == high and tensor.is_floating_point():
        return TensorSpec(name, dtype, shape)
    if not tensor.is_floating_point() and low < 0:  # classes and what stands for none of them
        return TensorSpec(name, dtype, shape, Choices(tuple(tensor.unique().tolist())))
    return TensorSpec(name, dtype, shape, Interval(low, high))
