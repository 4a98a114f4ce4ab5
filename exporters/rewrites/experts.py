"""Mixtures of experts of transformers: each token's experts as one batched product.

The library sorts tokens by expert and multiplies group by group (`grouped_mm`), with group sizes
that are values; it has the same sum as `batched_mm`, which gathers the weights that each token
needs. It is chosen while such a model is traced, and what was chosen before is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from exporters.rewrites import Family

_TRACEABLE = "batched_mm"


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    chosen = [(m, m.get_experts_implementation()) for m in _models(model)]
    for owner, _ in chosen:
        owner.set_experts_implementation(_TRACEABLE)
    try:
        yield
    finally:
        for owner, before in chosen:
            owner.set_experts_implementation(before)


def _models(model: nn.Module) -> Iterator[Any]:
    """Every model of transformers in the module whose experts may be computed in several ways."""
    for module in model.modules():
        may: Any = getattr(module, "_can_set_experts_implementation", None)
        if callable(may) and may():
            yield module


FAMILY = Family("experts", tracing=_tracing)
