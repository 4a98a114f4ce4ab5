"""What a transformers model returns, as the outputs of a graph."""

import pytest
import torch
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from exporters.huggingface.graph import results

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
