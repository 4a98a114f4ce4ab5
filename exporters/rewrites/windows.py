"""Attention in sliding windows (Longformer, LED): their own way for ONNX, and counts of windows.

By default the windows are strided views of one tensor, and their number a tensor that
`torch.div(size, width)` makes: torch.export then knows neither. The models have another way, by
`unfold`, which the setting `onnx_export` of their config chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import SymInt, nn

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing

_SETTING = "onnx_export"


def _div(one: Any, other: Any, **keywords: Any) -> Any:
    """Of sizes, which are not negative, the whole quotient is a size."""
    sizes = all(isinstance(n, (int, SymInt)) for n in (one, other))
    if sizes and keywords.get("rounding_mode"):
        return one // other
    return torch.div(one, other, **keywords)


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    windowed = [m for m in model.modules() if hasattr(m, "_chunk") and hasattr(m, "config")]
    with ExitStack() as stack:
        for config in {id(m.config): m.config for m in windowed}.values():
            stack.enter_context(mock.patch.object(config, _SETTING, True, create=True))
        if windowed:
            stack.enter_context(replacing({torch.div: _div}))
        yield


FAMILY = Family("windows", tracing=_tracing)
