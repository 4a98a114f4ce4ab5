"""Masks of attention, as transformers makes them where it runs: none at all, or by broadcasting.

Of what sees everything, and of which nothing is padded, there is no mask; while torch.export traces
the library makes one all the same, to be asked nothing of its values. Informer halves its sequence
between layers, and the mask does not fit. A mask with a function of the model's own is made by
torch.vmap over each index, of which torch.export leaves tensors of the trace in the program
(T5Gemma 2, Unlimited OCR).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

from torch import Tensor, nn

from exporters.rewrites import Family

Mask = Callable[..., Tensor]


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    masks: Any = sys.modules.get("transformers.masking_utils")
    ours: dict[str, Callable[[Any], Any]] = {
        "_ignore_bidirectional_mask_sdpa": _unpadded,
        "_vmap_expansion_sdpa": _broadcast,
        "TransformGetItemToIndex": lambda _: nullcontext,
    }
    known = {n: of(getattr(masks, n)) for n, of in ours.items() if hasattr(masks, n)}
    if not known:  # none of them is public
        yield
        return
    with mock.patch.multiple(masks, **known):
        yield


def _unpadded(own: Callable[..., bool]) -> Callable[..., bool]:
    def is_none(padding: Tensor | None, length: Any, window: int | None = None) -> bool:
        return (padding is None and window is None) or own(padding, length, window)

    return is_none


def _broadcast(_: Any) -> Callable[[Mask], Mask]:
    """Of all indices at once: what such a function compares and looks up broadcasts."""

    def expansion(function: Mask) -> Mask:
        def mask(*indices: Tensor) -> Tensor:
            sizes = [index.shape[0] for index in indices]
            behind = range(len(sizes) - 1, -1, -1)
            spread = (i.reshape(-1, *[1] * n) for i, n in zip(indices, behind, strict=True))
            return function(*spread).expand(sizes)

        return mask

    return expansion


FAMILY = Family("masks", tracing=_tracing)
