"""Mixtures of experts of transformers come out, for any number of tokens."""

from pathlib import Path

import transformers

import toolkit
from exporters.huggingface.inputs import Ranges
from exporters.huggingface.source import wrapped
from exporters.rewrites.experts import FAMILY

CONFIG = transformers.MixtralConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
    intermediate_size=16, vocab_size=50, num_local_experts=4, max_position_embeddings=40,
)  # fmt: skip


def test_it_exports_and_holds(tmp_path: Path) -> None:
    model = transformers.MixtralModel._from_config(CONFIG, attn_implementation="eager")
    built = wrapped(model, Ranges(batch=3, tokens=12))
    exported = toolkit.export(
        (built.module, built.signature),
        tmp_path / "m.onnx",
        exporters=("onnxport",),
        budget=2.0,
    )
    assert exported.report.holds, exported.report.reason


def test_the_model_gets_back_what_it_had() -> None:
    model = transformers.MixtralModel(CONFIG)
    before = model.get_experts_implementation()
    with FAMILY.tracing(model):
        assert model.get_experts_implementation() != before
    assert model.get_experts_implementation() == before
