"""What is worked out of a model's own tensors alone is known: they are those that the file holds.

EoMT masks its attention where a probability, a buffer, is above 0: to torch.export that is a branch
on a value like any other, and one way of it has no mask. So is a flag (`if not self.initialized`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import getitem
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import get_proxy_mode, get_proxy_slot
from torch.fx.node import map_arg
from torch.utils._python_dispatch import _disable_current_modes


class _Own:
    """The tensors of a model, and those that torch.export has in their places as a run begins: what
    a run assigns, or the one before it has registered, is another matter."""

    def __init__(self, model: nn.Module) -> None:
        self._real = dict(_named(model))
        self._traced: list[tuple[Tensor, Tensor]] = []

    def begin(self, model: nn.Module, *_: Any) -> None:
        self._traced = [(t, self._real[n]) for n, t in _named(model) if n in self._real]

    def values(self, tracer: Any) -> dict[Node, Tensor]:
        """By the node of each; one that was written to has another by then."""
        placed = ((_node(traced, tracer), real) for traced, real in self._traced)
        return {node: real for node, real in placed if node and node.op == "placeholder"}


_tracing: list[_Own] = []


@contextmanager
def tensors_of(model: nn.Module) -> Iterator[None]:
    """Inside, `known` answers for the tensors that `model` has now."""
    own = _Own(model)
    hook = model.register_forward_pre_hook(own.begin)
    _tracing.append(own)
    try:
        yield
    finally:
        _tracing.pop()
        hook.remove()


def known(traced: Tensor) -> bool | float | None:
    """The number that a traced tensor is; None where an input, chance or a write decides it."""
    mode = get_proxy_mode()
    if mode is None or not _tracing:
        return None
    node = _node(traced, mode.tracer)
    if node is None:
        return None
    values = _tracing[-1].values(mode.tracer)
    needed = _leading_to(node)
    if any(n not in values and not _is_pure(n) for n in needed):
        return None
    if any(_written(n) in needed for n in node.graph.nodes):
        return None
    return _evaluated(node, [n for n in node.graph.nodes if n in needed], values)


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _node(tensor: Tensor, tracer: Any) -> Node | None:
    slot = get_proxy_slot(tensor, tracer, None)
    return slot.proxy.node if slot else None


def _leading_to(node: Node) -> set[Node]:
    found, waiting = set[Node](), [node]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += one.all_input_nodes
    return found


def _is_pure(node: Node) -> bool:
    if node.target is getitem:  # one of several that an operator returns
        return True
    return (
        isinstance(node.target, OpOverload)
        and not node.target._schema.is_mutable
        and torch.Tag.nondeterministic_seeded not in node.target.tags
    )


def _written(node: Node) -> Node | None:
    """What an operator in place writes to: the first that its target is a part of."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return None
    while node.op == "call_function" and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _evaluated(node: Node, steps: list[Node], values: Mapping[Node, Tensor]) -> float:
    found: dict[Node, Any] = dict(values)
    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad():
        for step in steps:
            if step not in found:
                args, keywords = map_arg((step.args, step.kwargs), found.__getitem__)
                found[step] = step.target(*args, **keywords)  # type: ignore[operator]  # `_is_pure` saw it
        number: float = found[node].item()
    return number
