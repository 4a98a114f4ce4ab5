"""Signatures of transformers models, from their configs."""

import pytest
import transformers

from exporters.huggingface import inputs
from exporters.huggingface.inputs import Ranges, signature
from tests.exporters.huggingface.tiny import CONFIGS
from toolkit.errors import InputError
from toolkit.signature import Signature

EXPECTED = {
    "bert": """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        token_type_ids: int64[batch, tokens] in 0..1
        where batch = 1..8, tokens = 2..40
        """,
    "t5": """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        decoder_input_ids: int64[batch, target] in 0..49
        where batch = 1..8, tokens = 2..128, target = 2..128
        """,
    "whisper": """
        input_features: float32[batch, 8, 40] in -4..4
        decoder_input_ids: int64[batch, target] in 0..49
        where batch = 1..8, target = 2..30
        """,
    "vit": "pixel_values: float32[batch, 3, 64, 64] in -3..3; where batch = 1..8",
    "resnet": """
        pixel_values: float32[batch, 3, height, width] in -3..3
        where batch = 1..8, height = 64..224 step 32, width = 64..224 step 32
        """,
    "wav2vec2": """
        input_values: float32[batch, samples] in -1..1
        where batch = 1..8, samples = 20..16000
        """,
    "clip": """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        pixel_values: float32[batch, 3, 32, 32] in -3..3
        where batch = 1..8, tokens = 2..20
        """,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_signature_comes_from_the_config(name: str) -> None:
    config = CONFIGS[name]()
    kind = getattr(transformers, config.architectures[0])
    model = kind._from_config(config, attn_implementation="eager").eval()
    assert signature(model) == Signature.parse(EXPECTED[name])


def test_ranges_bound_what_the_config_does_not() -> None:
    model = transformers.BertModel(CONFIGS["bert"]()).eval()
    found = signature(model, Ranges(batch=3, tokens=9))
    assert {d.name: d.high for d in found.dims} == {"batch": 3, "tokens": 9}


def test_a_model_of_unknown_inputs_is_refused_with_what_it_takes() -> None:
    config = transformers.DecisionTransformerConfig(hidden_size=16, n_layer=1, n_head=1)
    model = transformers.DecisionTransformerModel(config).eval()
    with pytest.raises(InputError, match="takes no input that is known here") as caught:
        signature(model)
    assert "states, actions, rewards" in caught.value.hint


def test_what_the_model_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = transformers.BertModel(CONFIGS["bert"]()).eval()
    monkeypatch.setattr(inputs, "positions", lambda _: 1000)
    with pytest.raises(InputError, match="runs at no signature that its config suggests: "):
        signature(model, Ranges(tokens=200))


def test_a_codec_is_given_as_many_samples_as_make_four_frames() -> None:
    """It has ratios and no list of kernels: four samples were taken for four frames."""
    assert inputs._receptive(transformers.MimiConfig(upsampling_ratios=[8, 6, 5, 4]), 4) == 3840
