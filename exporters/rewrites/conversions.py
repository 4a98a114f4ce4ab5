"""Modules that convert a part of themselves as they run: `self.classifier.to(self.dtype)`.

The router of Switch Transformers does. A part that is in that dtype already stays as it is, but
Module.to exchanges its parameters all the same, and torch.export refuses: "Cannot swap t1".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn

from exporters.rewrites import Family


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    original = nn.Module.to

    def to(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        return self if _is_so(self, *args, **kwargs) else original(self, *args, **kwargs)

    with mock.patch.object(nn.Module, "to", to):
        yield


def _is_so(module: nn.Module, *args: Any, **kwargs: Any) -> bool:
    """Is it asked for a dtype only, which all that is floating in it has?"""
    wanted = args[0] if len(args) == 1 and not kwargs else kwargs.get("dtype")
    asked = len(args) + len(kwargs) == 1 and isinstance(wanted, torch.dtype)
    tensors = (*module.parameters(), *module.buffers())
    return asked and all(t.dtype == wanted for t in tensors if t.is_floating_point())


FAMILY = Family("conversions", tracing=_tracing)
