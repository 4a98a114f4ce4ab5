"""What makes features of the pictures or sounds of a text: the ways to call a model for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from exporters.huggingface.graph import aside, parameters
from exporters.huggingface.grids import GridEncoder, patch_tower
from exporters.huggingface.readings import READINGS, Ranges
from toolkit.sequence import FEATURES
from toolkit.signature import TensorSpec

KINDS = (("image", "pixel_values"), ("audio", "input_features"))
"""What a model has features of, and under which name it takes that."""


def encoders(
    model: nn.Module, kind: str, name: str, ranges: Ranges
) -> Iterator[tuple[MediaEncoder | GridEncoder, TensorSpec]]:
    """Each with what one picture or sound of each row is to it; whether the model runs so is not
    known."""
    if "image_grid_thw" in parameters(model):
        found = patch_tower(getattr(getattr(model, "model", None), "visual", None), ranges.image)
        if found:
            yield GridEncoder(found[0]), found[1]
    specs = [way.spec for way in READINGS[name](model, ranges) if not way.dims]
    padded, alone = hasattr(getattr(model, "model", None), "connector"), _without_words(model)
    for spec, several in product(specs, (False, True)):
        made = EveryPictureEncoder if several and padded else MediaEncoder
        yield made(alone, kind, name, several), spec


def _without_words(model: nn.Module) -> nn.Module:
    """The same model but for what reads and writes words, which is most of it."""
    found = aside(model)
    for path in ("lm_head", "language_model", "model.language_model"):
        holder, _, name = path.rpartition(".")
        with suppress(AttributeError):
            parent = found.get_submodule(holder)
            if name in dict(parent.named_children()):
                setattr(parent, name, nn.Identity())
    return found


class MediaEncoder(nn.Module):
    """Pictures or sounds of each row [batch, images, ...] to `features` [batch, length, width]."""

    def __init__(self, model: nn.Module, kind: str, name: str, several: bool) -> None:
        """`several`: the model takes them so; else all pictures of the batch one after another."""
        super().__init__()
        self.model = model
        self._read, self._name, self._several = f"get_{kind}_features", name, several
        self.grid = None

    def forward(self, media: Tensor) -> dict[str, Tensor]:
        found = getattr(self.model, self._read)(*self.given(media).values())
        features = getattr(found, "pooler_output", found)
        if not isinstance(features, Tensor):
            features = torch.cat(features)
        return {FEATURES: features.reshape(media.shape[0], -1, features.shape[-1])}

    def given(self, media: Tensor) -> dict[str, Tensor]:
        """As the model itself takes them."""
        return {self._name: media if self._several else media.flatten(0, 1)}


class EveryPictureEncoder(MediaEncoder):
    """Of models that leave out what is 0 everywhere, as rows have different numbers of pictures
    (Idefics, SmolVLM). Here all are read, black or not: no size depends on a value."""

    def forward(self, media: Tensor) -> dict[str, Tensor]:
        model: Any = self.model.model
        patch, pictures = model.config.vision_config.patch_size, media.flatten(0, 1)
        sides = (media.shape[3] // patch, media.shape[4] // patch)
        whole = torch.ones(pictures.shape[0], *sides, dtype=torch.bool, device=media.device)
        seen = model.vision_model(
            pixel_values=pictures, patch_attention_mask=whole
        ).last_hidden_state
        masked = "attention_mask" in parameters(model.connector)
        kept = {"attention_mask": whole.flatten(1)} if masked else {}
        features = model.connector(seen, **kept)
        return {FEATURES: features.reshape(media.shape[0], -1, features.shape[-1])}
