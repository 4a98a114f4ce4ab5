"""Attention and nn.Transformer with masks: what eager PyTorch says, in every row, at every size."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.variables.torch import TorchInGraphFunctionVariable
from torch.nn import functional

import toolkit
from exporters.rewrites import attention


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


BLIND = torch.tensor([[False, False, False], [True, False, True]])
NUMBERS = torch.tensor([[-torch.inf, -torch.inf, -torch.inf], [0.0, -1.5, -torch.inf]])


@pytest.mark.parametrize("mask", [BLIND, NUMBERS, None], ids=["boolean", "numbers", "none"])
def test_a_row_without_a_key_is_zero(mask: Tensor | None) -> None:
    query, key = random(2, 4, 2, 8), random(2, 4, 3, 8)
    found = attention.attention(query, key, key, mask)
    expected = functional.scaled_dot_product_attention(query, key, key, mask)
    torch.testing.assert_close(found, expected)


def test_a_causal_mask_a_scale_and_shared_heads_mean_what_they_mean_in_pytorch() -> None:
    query, key = random(2, 4, 5, 8), random(2, 2, 3, 8)
    found = attention.attention(query, key, key, None, 0.0, True, 0.3, True)
    expected = functional.scaled_dot_product_attention(
        query, key, key, is_causal=True, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, expected)


def test_dynamo_can_be_reached_first_while_a_model_is_traced() -> None:
    handlers = TorchInGraphFunctionVariable._get_handlers
    with attention.FAMILY.tracing(nn.Identity()):
        handlers.__wrapped__()  # raises where two of the functions it knows are the same


class Padded(nn.Module):
    """An encoder that drops the padding where it may; the mask is aligned, or is not."""

    def __init__(self, activation: str, mask_check: bool, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation=activation, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(
            layer, 1, nn.LayerNorm(8), enable_nested_tensor=not norm_first, mask_check=mask_check
        )

    def forward(self, x: Tensor, lengths: Tensor, first: Tensor) -> list[Tensor]:
        place = torch.arange(x.shape[1])
        right = place >= lengths.clamp(max=x.shape[1])[:, None]
        found = [self.encoder(x, src_key_padding_mask=right)]
        if self.encoder.mask_check:
            left = place < first.clamp(max=x.shape[1] - 1)[:, None]
            found.append(self.encoder(x, src_key_padding_mask=left))
        return found


class Attending(nn.Module):
    """Of itself and of another, with weights and without, by each kind of mask."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, batch_first=True)
        self.other = nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True)

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor) -> dict[str, Tensor | None]:
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        found = {}
        found["causal"], found["shares"] = self.own(x, x, x, attn_mask=causal)
        found["bare"] = self.own(x, x, x, attn_mask=causal, need_weights=False)[0]
        found["other"], _ = self.other(x, memory, memory, key_padding_mask=~seen)
        found["alone"], _ = self.other(x[0], memory[0], memory[0], need_weights=False)
        return found


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        result: Tensor = self.transformer(memory, x, tgt_mask=mask, src_key_padding_mask=~seen)
        return result


PADDED = """
    x: float32[batch, time, 8]
    lengths: int64[batch] in 1..9
    first: int64[batch] in 0..3
    where batch = 1..8, time = 1..9
"""
PAIR = """
    x: float32[batch, time, 8]
    memory: float32[batch, keys, 8]
    seen: bool[batch, keys] in {1}
    where batch = 1..8, time = 1..9, keys = 1..9
"""


@pytest.mark.parametrize(
    ("make", "signature"),
    [
        (lambda: Padded("gelu", True, False), PADDED),
        (lambda: Padded("relu", False, False), PADDED),
        (lambda: Padded("relu", True, True), PADDED),
        (Attending, PAIR),
        (Whole, PAIR),
    ],
    ids=["dropped where aligned", "dropped", "masked", "attention", "transformer"],
)
def test_a_file_holds_at_every_size(
    make: Callable[[], nn.Module], signature: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    made = make().eval(), signature
    report = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"]).report
    assert report.holds, report.reason


def test_leaves_torch_and_the_model_as_they_were() -> None:
    model = Padded("relu", True, False)
    before = torch.overrides.has_torch_function, set(vars(model.encoder))
    with attention.FAMILY.tracing(model):
        assert torch.overrides.has_torch_function is not before[0]
    assert (torch.overrides.has_torch_function, set(vars(model.encoder))) == before
