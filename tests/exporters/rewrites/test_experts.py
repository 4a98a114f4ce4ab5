"""Mixtures of experts of transformers come out, for any number of tokens."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

import toolkit
from exporters.huggingface.readings import Ranges
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


def _experts(name: str) -> tuple[nn.Module, Tensor]:
    """The module of four experts, width 8, and which two of them each of five tokens chose."""
    from transformers.models.dbrx import modeling_dbrx
    from transformers.models.longcat_flash import modeling_longcat_flash
    from transformers.models.nllb_moe import modeling_nllb_moe
    from transformers.models.switch_transformers import modeling_switch_transformers

    chosen = torch.tensor([[0, 1], [3, 0], [1, 1], [0, 3], [1, 0]])
    if name == "switch":
        few = transformers.SwitchTransformersConfig(d_model=8, d_ff=16, num_experts=4)
        bits = nn.functional.one_hot(chosen, 4)
        return modeling_switch_transformers.SwitchTransformersExperts(few), bits
    if name == "nllb":
        small = transformers.NllbMoeConfig(d_model=8, num_experts=4, moe_token_dropout=0.2)
        return modeling_nllb_moe.NllbMoeExperts(small, 16), chosen
    if name == "dbrx":
        glu = transformers.DbrxConfig().ffn_config
        glu.moe_num_experts, glu.hidden_size, glu.ffn_hidden_size = 4, 8, 16
        return modeling_dbrx.DbrxExperts(glu), chosen
    two = transformers.LongcatFlashConfig(
        hidden_size=8, expert_ffn_hidden_size=16, n_routed_experts=2, zero_expert_num=2
    )
    return modeling_longcat_flash.LongcatFlashExperts(two), chosen


@pytest.mark.parametrize("name", ["switch", "nllb", "dbrx", "longcat"])
def test_without_the_loop_it_is_the_same_sum(name: str) -> None:
    torch.manual_seed(0)
    experts, chosen = _experts(name)
    for parameter in experts.parameters():
        nn.init.normal_(parameter)
    experts = experts.double().eval()
    x = torch.randn(5, 8, dtype=torch.float64)
    weights = torch.rand(5, 2, dtype=torch.float64)
    rows = x[None] if name == "dbrx" else x
    with torch.no_grad():
        expected = experts(rows, chosen, weights)
        with FAMILY.tracing(nn.Sequential(experts)):
            found = experts(rows, chosen, weights)
    assert "forward" not in vars(experts)
    torch.testing.assert_close(found, expected)
