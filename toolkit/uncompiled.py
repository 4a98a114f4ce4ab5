"""PyTorch as it is, where it would compile by itself: FlexAttention does so in every call.

For each new shape and function again, of which a check has a hundred; and it may fail where the
plain operators do not (torch 2.13: dynamo refuses `_safe_softmax`, in the check of a ViT).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FLAG = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let `flex_attention` compute what it says by plain operators, in numbers the same."""
    flex: Any = sys.modules.get("torch.nn.attention.flex_attention")
    if flex is None or not hasattr(flex, _FLAG):
        yield
        return
    before = getattr(flex, _FLAG)
    setattr(flex, _FLAG, True)
    try:
        yield
    finally:
        setattr(flex, _FLAG, before)
