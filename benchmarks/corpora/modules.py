"""(a) Every torch.nn module with its sample inputs: torch.testing._internal.common_modules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.corpora.cases import Call, Case
from toolkit.signature import Signature


def cases() -> Iterator[Case]:
    """One case for each sample input of each module, in eval mode and float32."""
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        for number in range(len(_samples(info))):
            yield Case(f"{info.name}/{number}", partial(_build, info, number))


def _samples(info: Any) -> list[Any]:
    torch.manual_seed(0)
    try:
        samples: list[Any] = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
        )
    except Exception:  # a module for CUDA only
        return []
    return [s for s in samples if getattr(s, "forward_input", None) is not None]


def _build(info: Any, number: int) -> tuple[nn.Module, Signature]:
    sample = _samples(info)[number]
    torch.manual_seed(0)
    made = sample.constructor_input
    module = info.module_cls(*made.args, **made.kwargs).eval()
    given = sample.forward_input
    call = Call(module, given.args, given.kwargs).eval()
    return call, call.signature()
