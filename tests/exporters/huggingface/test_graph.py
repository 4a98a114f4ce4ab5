"""What a transformers model returns, as the outputs of a graph."""

import pytest
import torch
import transformers
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from exporters.huggingface.graph import Graph, results

ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (CausalLMOutputWithPast(loss=ONE, logits=ONE), ["logits"]),
        (CausalLMOutputWithPast(logits=ONE, past_key_values=DynamicCache()), ["logits"]),
        (BaseModelOutputWithPast(hidden_states=(ONE, ONE)), ["hidden_states"]),
        ({"a": ONE, "b": None, "c": (), "d": {"e": ONE}, "f": 3}, ["a", "d"]),
    ],
)  # fmt: skip
def test_states_losses_and_nothings_are_left_out(output: object, names: list[str]) -> None:
    assert list(results(output)) == names


def test_a_tensor_alone_stays_one() -> None:
    assert results(ONE) is ONE


def test_no_cache_is_made_where_only_the_base_model_is_asked_for_one() -> None:
    """The heads of Qwen3-Next pass it on: with a cache the program is for 4 tokens and more."""
    config = transformers.Qwen3NextConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, head_dim=8,
        num_attention_heads=2, num_key_value_heads=1, linear_num_key_heads=2,
        linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8, num_experts=2,
        num_experts_per_tok=1, moe_intermediate_size=8, shared_expert_intermediate_size=8,
        layer_types=["linear_attention"],
    )  # fmt: skip
    model = transformers.Qwen3NextForQuestionAnswering(config).eval()
    seen: list[object] = []
    model.base_model.register_forward_pre_hook(
        lambda _, arguments, keywords: seen.append(keywords.get("use_cache")), with_kwargs=True
    )
    Graph(model, ["input_ids"])(torch.ones(2, 5, dtype=torch.int64))
    assert seen == [False]
