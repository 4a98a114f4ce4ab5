"""Signatures of transformers models, from their configs."""

from typing import Any

import pytest
import transformers

from exporters.huggingface import inputs, readings
from exporters.huggingface.inputs import signature
from exporters.huggingface.readings import Ranges
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


_SMALL = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
_SWIN: dict[str, Any] = {
    "model_type": "swin",
    "embed_dim": 16,
    "depths": [1] * 4,
    "num_heads": [1, 2, 2, 2],
}
_SWIN |= {"window_size": 4, "image_size": 64, "out_features": [f"stage{n}" for n in range(1, 5)]}
UNUSUAL: dict[str, tuple[dict[str, Any], str]] = {
    "FunnelModel": (
        {"vocab_size": 50, "d_model": 32, "n_head": 4, "d_head": 8, "block_sizes": [1, 1, 1]},
        """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        where batch = 1..8, tokens = 5..128
        """,
    ),
    "CanineModel": (
        _SMALL | {"num_hidden_layers": 1},
        """
        input_ids: int64[batch, tokens] in 0..1114111
        attention_mask: int64[batch, tokens] in {0, 1}
        token_type_ids: int64[batch, tokens] in 0..15
        where batch = 1..8, tokens = 4..128
        """,
    ),
    "MoonshineModel": (
        {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64}
        | dict.fromkeys(("encoder_num_hidden_layers", "decoder_num_hidden_layers"), 1)
        | dict.fromkeys(("encoder_num_attention_heads", "decoder_num_attention_heads"), 4),
        """
        input_values: float32[batch, samples] in -1..1
        decoder_input_ids: int64[batch, target] in 0..49
        where batch = 1..8, samples = 895..16000, target = 2..128
        """,
    ),
    "DacModel": (
        {"encoder_hidden_size": 8, "decoder_hidden_size": 32, "hidden_size": 16}
        | {"n_codebooks": 2, "codebook_size": 16, "codebook_dim": 4},
        """
        input_values: float32[batch, 1, samples] in -1..1
        where batch = 1..8, samples = 2048..16000
        """,
    ),
    "AudioFlamingo3Encoder": (
        {"num_mel_bins": 8, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
        | {"num_hidden_layers": 1, "max_source_positions": 20},
        """
        input_features: float32[batch, 8, 40] in -4..4
        input_features_mask: int64[batch, 40] in {0, 1}
        where batch = 1..8
        """,
    ),
    "ClapAudioModel": (
        {"spec_size": 128, "num_mel_bins": 32, "patch_embeds_hidden_size": 16, "hidden_size": 128}
        | {"depths": [1] * 4, "num_attention_heads": [2] * 4, "window_size": 4},
        """
        input_features: float32[batch, 1, frames, 32] in -4..4
        where batch = 1..8, frames = 16..256
        """,
    ),
    "OneFormerModel": (
        {"backbone_config": _SWIN, "text_encoder_vocab_size": 50, "task_seq_len": 7}
        | dict.fromkeys(("conv_dim", "mask_dim", "hidden_dim", "text_encoder_width"), 32)
        | dict.fromkeys(("encoder_layers", "query_dec_layers", "text_encoder_num_layers"), 1)
        | {"decoder_layers": 2, "num_attention_heads": 4, "num_queries": 8, "is_training": False},
        """
        pixel_values: float32[batch, 3, height, width] in -3..3
        task_inputs: int64[batch, 7] in 0..49
        where batch = 1..8, height = 64..128 step 32, width = 64..128 step 32
        """,
    ),
    "TimeSeriesTransformerModel": (
        {"prediction_length": 3, "context_length": 6, "lags_sequence": [1, 2, 4], "d_model": 16}
        | {"num_time_features": 2}
        | dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
        | dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
        """
        past_values: float32[batch, 10]
        past_time_features: float32[batch, 10, 2]
        past_observed_mask: float32[batch, 10] in {0, 1}
        future_values: float32[batch, 3]
        future_time_features: float32[batch, 3, 2]
        where batch = 1..8
        """,
    ),
    "LxmertModel": (
        _SMALL
        | {"vocab_size": 50, "visual_feat_dim": 16}
        | dict.fromkeys(("l_layers", "x_layers", "r_layers"), 1),
        """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        token_type_ids: int64[batch, tokens] in 0..1
        visual_feats: float32[batch, boxes, 16]
        visual_pos: float32[batch, boxes, 4] in 0..1
        where batch = 1..8, tokens = 2..128, boxes = 1..64
        """,
    ),
    "BrosModel": (
        {"vocab_size": 50, "num_hidden_layers": 1},
        """
        input_ids: int64[batch, tokens] in 0..49
        attention_mask: int64[batch, tokens] in {0, 1}
        token_type_ids: int64[batch, tokens] in 0..1
        bbox: float32[batch, tokens, 4] in 0..1
        where batch = 1..8, tokens = 2..128
        """,
    ),
    "DecisionTransformerModel": (
        {"hidden_size": 32, "n_layer": 1, "n_head": 2, "n_positions": 96},
        """
        states: float32[batch, steps, 17]
        actions: float32[batch, steps, 4]
        rewards: float32[batch, steps, 1]
        returns_to_go: float32[batch, steps, 1]
        timesteps: int64[batch, steps] in 0..4095
        where batch = 1..8, steps = 1..32
        """,
    ),
}
"""Inputs that few have, and low ends that the config does not tell: the model does."""


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_low_end_that_is_refused_is_raised_to_what_the_model_takes(name: str) -> None:
    fields, expected = UNUSUAL[name]
    kind = getattr(transformers, name)
    assert signature(kind(kind.config_class(**fields)).eval()) == Signature.parse(expected)


def test_no_candidate_has_a_size_that_nothing_bounds() -> None:
    """Of boxes alone, the number of boxes; of a mask alone, that of tokens."""
    fields, _ = UNUSUAL["LxmertModel"]
    model = transformers.LxmertModel(transformers.LxmertConfig(**fields)).eval()
    found = [[s.name for s in c.inputs] for c in inputs.candidates(model, Ranges())]
    assert ["visual_feats"] in found
    assert ["visual_pos"] not in found


def test_ranges_bound_what_the_config_does_not() -> None:
    model = transformers.BertModel(CONFIGS["bert"]()).eval()
    found = signature(model, Ranges(batch=3, tokens=9))
    assert {d.name: d.high for d in found.dims} == {"batch": 3, "tokens": 9}


def test_a_model_of_unknown_inputs_is_refused_with_what_it_takes() -> None:
    config = transformers.Blip2QFormerConfig(hidden_size=12, num_hidden_layers=1)
    model = transformers.Blip2QFormerModel(config).eval()
    with pytest.raises(InputError, match="takes no input that is known here") as caught:
        signature(model)
    assert "query_embeds, query_length" in caught.value.hint


def test_what_the_model_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = transformers.BertModel(CONFIGS["bert"]()).eval()
    monkeypatch.setattr(readings, "positions", lambda _: 1000)
    with pytest.raises(InputError, match="runs at no signature that its config suggests: "):
        signature(model, Ranges(tokens=200))


def test_a_codec_is_given_as_many_samples_as_make_four_frames() -> None:
    """It has ratios and no list of kernels: four samples were taken for four frames."""
    assert readings._receptive(transformers.MimiConfig(upsampling_ratios=[8, 6, 5, 4]), 4) == 3840
