"""(f) Models of transformers that read pictures or sounds among words, tiny, with random weights:
the graph that makes features of them, and the graph that reads these.

What is read as words alone, and what does not build from its config alone, is no case.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.corpora.architectures import made, tiny, warmed
from benchmarks.corpora.cases import Case, stir
from benchmarks.corpora.tiny import DEGREES
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from toolkit.sequence import DECODER, ENCODER
from toolkit.signature import Signature

_RANGES = Ranges(batch=2, tokens=8, image=64)


def cases() -> Iterator[Case]:
    from transformers.models.auto import modeling_auto as auto

    warmed()
    for kind, name in auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.items():
        for part in (ENCODER, DECODER):
            yield Case(f"{kind}/{name}/{part}", partial(build, kind, name, part))


def build(kind: str, name: str, part: str) -> tuple[nn.Module, Signature]:
    """At the first degree of smallness that reads more than words; LookupError where none does."""
    said = ""
    for degree in DEGREES:
        try:
            torch.manual_seed(0)
            model = made(name, _matched(tiny(kind, degree)))
            stir(model)
            parts: Any = wrapped(model, _RANGES).module
            if getattr(parts, "generation", None) and parts.generation.placeholder is not None:
                return parts.get_submodule(part), parts.parts[part]
            said = said or "it is read as words alone"
        except Exception as error:
            said = said or f"{type(error).__name__}: {error}"
    raise LookupError(said)


def _matched(config: Any) -> Any:
    """The features of a picture are as wide as a word, and few."""
    vision: Any = getattr(config, "vision_config", None)
    width = config.get_text_config().hidden_size
    if hasattr(vision, "out_hidden_size"):
        vision.out_hidden_size = width
    elif hasattr(vision, "embed_dim") and hasattr(vision, "spatial_merge_size"):  # Qwen2-VL
        vision.hidden_size = width
    if hasattr(config, "mm_tokens_per_image"):  # Gemma 3 pools to a square of them
        config.mm_tokens_per_image = 4
    return config
