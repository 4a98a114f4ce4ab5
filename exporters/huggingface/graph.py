"""A transformers model as one graph: named tensors in, the tensors of its ModelOutput out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from inspect import signature as python_signature
from typing import Any

from torch import Tensor, nn

_NOT_RESULTS = frozenset({"loss", "past_key_values", "mems", "cache_params", "past_buckets_states"})
"""Fields of outputs that are a state or a number for training, not what the model is asked for."""


_ROUNDING = 1e-5
"""Of the largest number."""


class Graph(nn.Module):
    """`model(**inputs)` with its inputs in the order of `names`, and without a cache."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self._names = tuple(names)
        self.training = model.training
        self._fixed = {"use_cache": False} if _may_cache(model) else {}

    def forward(self, *tensors: Tensor) -> Any:
        found = self.model(**dict(zip(self._names, tensors, strict=True)), **self._fixed)
        return results(found)


def _may_cache(model: nn.Module) -> bool:
    """Does it take `use_cache`, by name or for the base model that its head passes it on to?"""
    taken, base = parameters(model), getattr(model, "base_model", model)
    return "use_cache" in taken or ("kwargs" in taken and "use_cache" in parameters(base))


def aside(model: nn.Module) -> nn.Module:
    """A copy that shares all tensors: Swin changes itself, even at a size that it then refuses."""
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def alike(ours: Tensor, theirs: Tensor) -> bool:
    """Are these what the same operations make of the same numbers, but for the order of sums?"""
    return ours.shape == theirs.shape and bool(
        (ours - theirs).abs().max() <= _ROUNDING * theirs.abs().max()
    )


def parameters(model: nn.Module) -> tuple[str, ...]:
    """The names that a model's forward takes."""
    return tuple(python_signature(model.forward).parameters)


def results(value: Any) -> Any:
    """What is left of an output without states: a tensor, or a dict by the names of its fields."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        kept = {name: results(v) for name, v in value.items() if name not in _NOT_RESULTS}
        return {name: v for name, v in kept.items() if v is not None and not _empty(v)}
    if isinstance(value, (tuple, list)):
        return tuple(v for v in map(results, value) if v is not None and not _empty(v))
    return None


def _empty(value: Any) -> bool:
    return isinstance(value, (tuple, dict)) and not value
