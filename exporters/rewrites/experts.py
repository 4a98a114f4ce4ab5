"""Mixtures of experts of transformers: each token's experts without a decision about them.

The library sorts tokens by expert and multiplies group by group (`grouped_mm`), with group sizes
that are values; it has the same sum as `batched_mm`, which gathers the weights that each token
needs. It is chosen while such a model is traced, and what was chosen before is put back.

Four older ones (Switch Transformers, DBRX, NLLB-MoE, LongCat) loop over the experts that were hit.
Here every expert computes every token, and what a token did not choose counts zero: right, and as
much slower as there are experts for each that is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporters.rewrites import Family
from exporters.rewrites.calls import forwarding

_TRACEABLE = "batched_mm"


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        # All are asked before one is set: a model sets those inside it as well.
        for owner, before in [(m, m.get_experts_implementation()) for m in _models(model)]:
            stack.callback(owner.set_experts_implementation, before)
            owner.set_experts_implementation(_TRACEABLE)
        for module in model.modules():
            if without := _WITHOUT_LOOP.get(type(module).__name__):
                stack.enter_context(forwarding(module, without))
        yield


def _models(model: nn.Module) -> Iterator[Any]:
    """Every model of transformers in the module whose experts may be computed in several ways."""
    for module in model.modules():
        may: Any = getattr(module, "_can_set_experts_implementation", None)
        if callable(may) and may():
            yield module


def _sum(x: Tensor, shares: Tensor, experts: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Every expert's answer to tokens [T, D], times its share [T, experts] of each."""
    return torch.stack([f(x) * shares[:, n, None] for n, f in enumerate(experts)]).sum(0)


def _shares(chosen: Tensor, weights: Tensor, count: int) -> Tensor:
    """Indices [T, K] of experts and their weights [T, K] as shares [T, count]."""
    return (functional.one_hot(chosen, count) * weights.unsqueeze(-1)).sum(1)


def _switch(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    shares = (chosen * weights.unsqueeze(-1)).sum(1)
    return _sum(x, shares, [self[f"expert_{n}"] for n in range(self.num_experts)])


def _dbrx(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    parts = [
        getattr(self.mlp, name).view(self.num_experts, self.ffn_hidden_size, self.hidden_size)
        for name in ("w1", "v1", "w2")
    ]

    def expert(n: int, rows: Tensor) -> Tensor:
        found: Tensor = self.mlp(rows, *(part[n] for part in parts))
        return found

    rows = x.reshape(-1, self.hidden_size)
    experts = [partial(expert, n) for n in range(self.num_experts)]
    return _sum(rows, _shares(chosen, weights, self.num_experts), experts).view(x.shape)


def _nllb(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    shares = _shares(chosen, weights, self.num_experts) * (1 - self.moe_token_dropout)
    return _sum(x, shares, [self[f"expert_{n}"] for n in range(self.num_experts)])


def _longcat(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """Those behind the last that computes give a token back as it is."""

    def expert(n: int, rows: Tensor) -> Tensor:
        gate, up = functional.linear(rows, self.gate_up_proj[n]).chunk(2, dim=-1)
        return functional.linear(self.act_fn(gate) * up, self.down_proj[n])

    shares = _shares(chosen, weights, self.total_experts)
    real = self.num_routed_experts if self.gate_up_proj is not None else 0
    same = x * shares[:, real:].sum(1, keepdim=True)
    experts = [partial(expert, n) for n in range(real)]
    return (_sum(x, shares, experts) + same if experts else same).to(x.dtype)


_WITHOUT_LOOP: dict[str, Callable[..., Tensor]] = {
    "SwitchTransformersExperts": _switch,
    "DbrxExperts": _dbrx,
    "NllbMoeExperts": _nllb,
    "LongcatFlashExperts": _longcat,
}

FAMILY = Family("experts", tracing=_tracing)
