"""Models of transformers that see everything, of which nothing is padded: no mask.

So the library has it where it runs; while torch.export traces it makes the mask all the same, to be
asked nothing of its values. Informer halves its sequence between layers, and the mask does not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from torch import Tensor, nn

from exporters.rewrites import Family

_DECIDES = "_ignore_bidirectional_mask_sdpa"


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    masks: Any = sys.modules.get("transformers.masking_utils")
    own = getattr(masks, _DECIDES, None)  # a private name: none in other releases
    if own is None:
        yield
        return

    def is_none(padding: Tensor | None, length: Any, window: int | None = None) -> bool:
        found: bool = (padding is None and window is None) or own(padding, length, window)
        return found

    with mock.patch.object(masks, _DECIDES, is_none):
        yield


FAMILY = Family("unmasked", tracing=_tracing)
