"""(f) Models of transformers that read pictures or sounds among words, tiny, with random weights:
the graph that makes features of them, and the graph that reads these.

What is read as words alone, and what does not build from its config alone, is no case.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.corpora.architectures import Built, at_first_degree, made, tiny, warmed
from benchmarks.corpora.cases import Case, stir
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from toolkit.sequence import DECODER, ENCODER, is_sequence

_RANGES = Ranges(batch=2, tokens=8, image=64)


def cases() -> Iterator[Case]:
    from transformers.models.auto import modeling_auto as auto

    warmed()
    for kind, name in auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.items():
        for part in (ENCODER, DECODER):
            yield Case(f"{kind}/{name}/{part}", partial(build, kind, name, part))


def build(kind: str, name: str, part: str) -> Built:
    """At the first degree of smallness that reads more than words; LookupError where none does."""
    return at_first_degree(partial(_built, kind, name, part))


def _built(kind: str, name: str, part: str, degree: int) -> Built:
    torch.manual_seed(0)
    model = made(name, _matched(tiny(kind, degree)))
    stir(model)
    parts: Any = wrapped(model, _RANGES).module
    if not is_sequence(parts) or parts.generation.placeholder is None:
        raise LookupError("it is read as words alone")
    return parts.get_submodule(part), parts.parts[part]


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
