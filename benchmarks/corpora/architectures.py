"""(c) Every architecture that transformers builds from a tiny random config: base model and heads.

A config is made tiny by the names of its fields (`tiny`), and given the signature that `hf:` gives
it. What cannot be built or run by itself is no case: the reason says what it would need.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import nn

from benchmarks.corpora.cases import Case, stir
from benchmarks.corpora.tiny import DEGREES, shrunk
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import one_graph
from toolkit.signature import Signature

HEADS = (
    *("CAUSAL_LM", "MASKED_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SEQUENCE_CLASSIFICATION"),
    *("TOKEN_CLASSIFICATION", "QUESTION_ANSWERING", "IMAGE_CLASSIFICATION", "CTC"),
    *("AUDIO_CLASSIFICATION", "SPEECH_SEQ_2_SEQ", "OBJECT_DETECTION", "SEMANTIC_SEGMENTATION"),
    *("UNIVERSAL_SEGMENTATION", "DEPTH_ESTIMATION"),
)
Built = tuple[nn.Module, Signature]
_MOST = 30_000_000
"""Parameters: what is larger has a field that `tiny` does not know."""


def cases() -> Iterator[Case]:
    """Every base model first, in the order of transformers, then every head."""
    warmed()
    for kind, name in named():
        yield Case(f"{kind}/{name}", partial(build, kind, name))


def warmed() -> None:
    """Imports what every case needs, before the benchmark forks: seconds."""
    import_module("transformers.models.llama.modeling_llama")
    logging.getLogger("transformers").setLevel(logging.ERROR)


def named() -> Iterator[tuple[str, str]]:
    """Model type and class."""
    from transformers.models.auto import modeling_auto as auto

    tables = [auto.MODEL_MAPPING_NAMES]
    tables += [getattr(auto, f"MODEL_FOR_{head}_MAPPING_NAMES") for head in HEADS]
    seen = set()
    for table in tables:
        for kind, names in table.items():
            for name in (names,) if isinstance(names, str) else names:
                if (kind, name) not in seen:
                    seen.add((kind, name))
                    yield kind, name


def build(kind: str, name: str) -> Built:
    """The first degree of smallness at which it can be built and run; LookupError where at none."""
    return at_first_degree(partial(_built, kind, name))


def at_first_degree(build: Callable[[int], Built]) -> Built:
    """What is built at the first degree that does not raise; LookupError where all do."""
    said = ""
    for degree in DEGREES:
        try:
            return build(degree)
        except ImportError as error:
            raise LookupError(f"it needs {error.name or error}".splitlines()[0]) from error
        except Exception as error:
            said = said or f"{type(error).__name__}: {error}"
    raise LookupError(said)


def _built(kind: str, name: str, degree: int) -> Built:
    torch.manual_seed(0)
    model = made(name, tiny(kind, degree))
    stir(model)
    return one_graph(model, Ranges(batch=4, tokens=24, image=64, samples=2000))


def made(name: str, config: Any) -> nn.Module:
    """A model of this class. Raises LookupError where it is not small."""
    import transformers

    head = getattr(transformers, name)
    with torch.device("meta"):
        size = sum(p.numel() for p in _made(head, config).parameters())
    if size > _MOST:
        raise LookupError(f"its tiny config still has {size:,} parameters")
    return _made(head, config).eval()


def tiny(kind: str, degree: int = 0) -> Any:
    """A small config of this type."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[kind]
    fields = shrunk(config_class().to_dict(), degree)
    for name in ("transformers_version", "architectures", "model_type"):
        fields.pop(name, None)
    given = fields.get("backbone_config") or {}
    if "timm" in str(given.get("model_type", "")):
        fields["backbone_config"] = _backbone()
    return config_class(**fields)


def _backbone() -> dict[str, Any]:
    """The ResNet that stands in where a config names a network of timm, which is not installed."""
    stages = ["stage1", "stage2", "stage3", "stage4"]
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}
    return {"model_type": "resnet", "out_features": stages[1:], "layer_type": "basic", **sizes}


def _made(head: Any, config: Any) -> nn.Module:
    if (words := config.get_text_config()) is not None and hasattr(words, "pad_token_id"):
        if words.pad_token_id is None:  # a batch of rows to classify needs one
            words.pad_token_id = 0
        if getattr(config, "pad_token_id", 0) is None:
            config.pad_token_id = words.pad_token_id
    made: nn.Module = head._from_config(config, attn_implementation="eager", dtype=torch.float32)
    return made
