"""Attention to both sides within a picture, and to what came before elsewhere (Gemma 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class PictureMasks:
    """The masks of a decoder's layers, by their type: those that slide reach back so far only."""

    def __init__(self, config: Any) -> None:
        """`config`: of the words, with `layer_types`."""
        types = sorted(set(config.layer_types))
        self._reach = {t: config.sliding_window if "sliding" in t else 0 for t in types}

    def __call__(self, seen: Tensor, placed: Tensor, tokens: int, dtype: Any) -> dict[str, Tensor]:
        """Of the last tokens [batch, 1, tokens, length]: 0, or the lowest number where a key is not
        attended to. `seen` [batch, length] is 0 where a row is padded, `placed` 1 where a feature
        stands; features one after another are one picture, as in transformers' own masks.

        Every token attends to itself: a softmax over nothing would be without meaning.
        """
        before = torch.nn.functional.pad(placed, (1, 0))[:, :-1]
        picture = (placed * (1 - before)).cumsum(1) * placed
        own = picture[:, picture.shape[1] - tokens :, None]
        inside = (own == picture[:, None]) & (own > 0)
        every = torch.arange(seen.shape[1], device=seen.device)
        back = every[every.shape[0] - tokens :, None] - every
        reached = ((back >= 0) | inside) & (seen[:, None] > 0) | (back == 0)
        near = {t: reached & (back < n) if n else reached for t, n in self._reach.items()}
        nothing = torch.zeros((), dtype=dtype, device=seen.device)
        lowest = torch.finfo(dtype).min
        return {t: torch.where(keys, nothing, lowest)[:, None] for t, keys in near.items()}
