"""Attention in sliding windows comes out for any length and any number of global tokens."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

import toolkit
from exporters.rewrites.windows import FAMILY

SIGNATURE = """
    ids:    int64[batch, tokens] in 2..49
    mask:   int64[batch, tokens] in {0, 1}
    chosen: int64[batch, tokens] in {0, 1}
    where batch = 1..3, tokens = 1..20
"""
SIZES = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8, "vocab_size": 50}


class Longformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = transformers.LongformerConfig(
            **SIZES, attention_window=8, intermediate_size=16, max_position_embeddings=64
        )
        self.model = transformers.LongformerModel(config, add_pooling_layer=False)

    def forward(self, ids: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = self.model(ids, mask, global_attention_mask=chosen).last_hidden_state
        return found


class LED(nn.Module):
    """The encoder, whose positions end with the longest text: one window more would be too long."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
        config = transformers.LEDConfig(
            **sizes, **heads, d_model=8, vocab_size=50, attention_window=8,
            max_encoder_position_embeddings=24,
        )  # fmt: skip
        self.encoder = transformers.LEDModel(config).get_encoder()

    def forward(self, ids: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = self.encoder(ids, mask, global_attention_mask=chosen).last_hidden_state
        return found


@pytest.mark.parametrize("make", [Longformer, pytest.param(LED, marks=pytest.mark.slow)])
def test_it_exports_and_holds(tmp_path: Path, make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        (make().eval(), SIGNATURE), tmp_path / "m.onnx", exporters=["onnxport"], budget=5.0
    )
    assert exported.report.holds, exported.report.reason


@pytest.mark.parametrize("tokens", [16, 11])
@pytest.mark.parametrize("make", [Longformer, LED])
def test_without_branches_it_is_the_same(make: type[nn.Module], tokens: int) -> None:
    torch.manual_seed(0)
    model = make().eval().double()
    ids, mask = torch.randint(2, 50, (3, tokens)), torch.ones(3, tokens, dtype=torch.int64)
    mask[2, 6:] = 0
    some = torch.zeros(3, tokens, dtype=torch.int64)
    some[0, :4] = some[1, 5] = some[2, 0] = 1
    with torch.no_grad():
        for chosen in (some, torch.zeros_like(some), torch.ones_like(some)):
            expected = model(ids, mask, chosen)
            with FAMILY.tracing(model):
                found = model(ids, mask, chosen)
            torch.testing.assert_close(found, expected)


def test_the_model_gets_back_what_it_had() -> None:
    model = Longformer()
    with FAMILY.tracing(model):
        assert model.model.config.onnx_export
        assert "_pad_to_window_size" in vars(model.model)
    assert not model.model.config.onnx_export
    assert not any({"forward", "_pad_to_window_size"} & {*vars(m)} for m in model.modules())
