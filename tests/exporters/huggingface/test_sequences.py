"""Models of transformers that write: the tokens are those of the library's own generate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import toolkit
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from tests.exporters.huggingface.conftest import Folder
from tests.exporters.huggingface.tiny import CONFIGS
from toolkit import sequence, source
from toolkit.pipeline.generate import eager_generator

DECODERS = ["gpt2", "llama", "qwen3_next", "lfm2", "falcon_h1", "mamba2"]
"""With keys and values, with states of recurrences, with both, beside each other or in a layer."""
MOST = 9
PROMPTS = [[5, 6, 7, 8], [9, 3], [4]]


@torch.no_grad()
def original(name: str) -> Any:
    """With weights large enough that what came before matters."""
    config = CONFIGS[name]()
    kind = getattr(transformers, config.architectures[0])
    torch.manual_seed(0)
    model = kind._from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(4)
    for parameter in model.parameters():
        parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model


def written(model: Any, **given: Any) -> list[list[int]]:
    """What our loop writes with the parts of the model, in PyTorch."""
    built = wrapped(model, Ranges(batch=4, tokens=8, image=32))
    loaded = source.load((built.module, built.signature))
    subject = eager_generator(sequence.parts(loaded), sequence.generation(loaded), "cpu")
    return subject.generate(**given, most=MOST)


def until_end(rows: torch.Tensor, first: int, end: int) -> list[list[int]]:
    texts = [row[first:].tolist() for row in rows]
    return [t[: t.index(end)] if end in t else t for t in texts]


def padded(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, prompts))
    rows = [[0] * (longest - len(p)) + [*p] for p in prompts]
    mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
    return torch.tensor(rows), torch.tensor(mask)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_writes_what_generate_writes(name: str) -> None:
    model = original(name)
    ids, mask = padded(PROMPTS)
    settings = {"do_sample": False, "max_new_tokens": MOST, "pad_token_id": 0}
    with torch.no_grad():
        theirs = model.generate(ids, attention_mask=mask, **settings)
    expected = until_end(theirs, ids.shape[1], model.config.eos_token_id)
    assert written(model, prompts=PROMPTS) == expected
    assert len({tuple(t) for t in expected}) == len(PROMPTS)  # else nothing was shown


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_an_encoder_decoder_writes_what_generate_writes(name: str) -> None:
    model = original(name)
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0], [11, 0, 0, 0]])
    mask = (ids > 0).long()
    settings = {"do_sample": False, "max_new_tokens": MOST, "num_beams": 1}
    with torch.no_grad():
        theirs = model.generate(ids, attention_mask=mask, **settings)
    expected = until_end(theirs, 1, model.config.eos_token_id)
    rows = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    assert written(model, source=rows) == expected
    assert len({tuple(t) for t in expected}) > 1


def test_whisper_writes_what_generate_writes() -> None:
    model = original("whisper")
    features = np.random.default_rng(0).standard_normal((3, 8, 40)).astype(np.float32)
    with torch.no_grad():
        theirs = model.generate(
            torch.from_numpy(features), do_sample=False, max_new_tokens=MOST, num_beams=1
        )
    found = written(model, source={"input_features": features})
    assert found == until_end(theirs, int(theirs[0, 0] == 1), 2)


def test_a_state_that_starts_anew_in_each_run_leaves_one_graph() -> None:
    config = transformers.MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=50)
    built = wrapped(transformers.MambaForCausalLM(config))
    assert not sequence.is_sequence(built.module)


def test_an_encoder_is_one_graph(folder: Folder) -> None:
    assert not sequence.is_sequence(source.load(f"hf:{folder('bert')}").module)


def test_what_generate_does_beside_the_search_is_noted() -> None:
    model = original("bart")
    model.generation_config.forced_bos_token_id = 7
    (note,) = wrapped(model).notes
    assert "forced_bos_token_id" in note


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_it_ships_and_the_bundle_writes(folder: Folder, tmp_path: Path, name: str) -> None:
    bundle = toolkit.ship_sequence(
        f"hf:{folder(name)},batch=2,tokens=4", tmp_path / "bundle", budget=2.0
    )
    assert all(part.exported.report.holds for part in bundle.parts.values())
    # int8, where this machine keeps it, may write other words.
    assert all(w.equal == w.rows for w in bundle.writings if w.subject != "int8")
