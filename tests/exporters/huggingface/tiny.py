"""Configs of transformers so small that a model is built in no time."""

from typing import Any

import transformers

TEXT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
BERT = {**TEXT, "intermediate_size": 32, "vocab_size": 50, "max_position_embeddings": 40}
LLAMA = {
    **BERT,
    "model_type": "llama",
    "num_key_value_heads": 1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "vocab_size": 50,
    "decoder_start_token_id": 0,
}
BART = {
    "d_model": 16,
    **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
    **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": 32 for side in ("encoder", "decoder")},
}
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 1}
WORDS = {"vocab_size": 50, "max_position_embeddings": 40, "forced_eos_token_id": None, **TOKENS}

QWEN = {**LLAMA, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}}
GRID = {
    **TEXT,
    "out_hidden_size": 16,
    "intermediate_size": 32,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 8,
}
SEEN = {**TEXT, "intermediate_size": 32, "image_size": 32, "patch_size": 16}

CONFIGS: dict[str, Any] = {
    "bert": lambda: transformers.BertConfig(**BERT, architectures=["BertForMaskedLM"]),
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=40, bos_token_id=1,
        eos_token_id=2, architectures=["GPT2LMHeadModel"],
    ),
    "llama": lambda: transformers.LlamaConfig(
        **BERT, num_key_value_heads=1, architectures=["LlamaForCausalLM"]
    ),
    "qwen3_next": lambda: transformers.Qwen3NextConfig(
        **{**LLAMA, "model_type": "qwen3_next"}, head_dim=8, linear_key_head_dim=8,
        linear_value_head_dim=8, linear_num_key_heads=2, linear_num_value_heads=2,
        layer_types=["linear_attention", "full_attention"], num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=16, shared_expert_intermediate_size=16,
        architectures=["Qwen3NextForCausalLM"],
    ),
    "lfm2": lambda: transformers.Lfm2Config(
        **{**LLAMA, "model_type": "lfm2"}, layer_types=["conv", "full_attention"],
        architectures=["Lfm2ForCausalLM"],
    ),
    "falcon_h1": lambda: transformers.FalconH1Config(
        **{**LLAMA, "model_type": "falcon_h1", "head_dim": 8}, mamba_d_ssm=32, mamba_n_heads=4,
        mamba_d_head=8, mamba_d_state=8, mamba_expand=2, mamba_chunk_size=8,
        architectures=["FalconH1ForCausalLM"],
    ),
    "mamba2": lambda: transformers.Mamba2Config(
        hidden_size=16, num_hidden_layers=2, vocab_size=50, num_heads=4, head_dim=8, state_size=8,
        n_groups=2, chunk_size=8, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        architectures=["Mamba2ForCausalLM"],
    ),
    "t5": lambda: transformers.T5Config(
        **T5, architectures=["T5ForConditionalGeneration"]
    ),
    "bart": lambda: transformers.BartConfig(
        **BART, **WORDS, architectures=["BartForConditionalGeneration"]
    ),
    "marian": lambda: transformers.MarianConfig(
        **BART, **WORDS, architectures=["MarianMTModel"]
    ),
    "whisper": lambda: transformers.WhisperConfig(
        **BART, **TOKENS, vocab_size=50, num_mel_bins=8, max_source_positions=20,
        max_target_positions=30, suppress_tokens=None, begin_suppress_tokens=None,
        architectures=["WhisperForConditionalGeneration"],
    ),
    "llava": lambda: transformers.LlavaConfig(
        text_config=LLAMA, vision_config=SEEN, image_token_index=48, vision_feature_layer=-1,
        architectures=["LlavaForConditionalGeneration"],
    ),
    "internvl": lambda: transformers.InternVLConfig(
        text_config=LLAMA, vision_config={**SEEN, "image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=48, architectures=["InternVLForConditionalGeneration"],
    ),
    "smolvlm": lambda: transformers.SmolVLMConfig(
        text_config=LLAMA, vision_config={**SEEN, "patch_size": 8}, image_token_id=48,
        scale_factor=2, architectures=["SmolVLMForConditionalGeneration"],
    ),
    "qwen2_vl": lambda: transformers.Qwen2VLConfig(
        text_config={**QWEN, "model_type": "qwen2_vl_text"}, image_token_id=48,
        vision_config={**TEXT, "embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 8},
        vision_start_token_id=46, architectures=["Qwen2VLForConditionalGeneration"],
    ),
    "qwen2_5_vl": lambda: transformers.Qwen2_5_VLConfig(
        text_config={**QWEN, "model_type": "qwen2_5_vl_text"}, image_token_id=48,
        vision_config={
            **GRID, "window_size": 32, "fullatt_block_indexes": [1],
        },
        vision_start_token_id=46, architectures=["Qwen2_5_VLForConditionalGeneration"],
    ),
    "qwen3_vl": lambda: transformers.Qwen3VLConfig(
        text_config={**QWEN, "model_type": "qwen3_vl_text", "head_dim": 8}, image_token_id=48,
        vision_config={
            **GRID, "num_position_embeddings": 36, "deepstack_visual_indexes": [0],
        },
        vision_start_token_id=46, architectures=["Qwen3VLForConditionalGeneration"],
    ),
    "glm4v": lambda: transformers.Glm4vConfig(
        text_config={
            **QWEN, "model_type": "glm4v_text",
            "rope_parameters": {"mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5},
        },
        vision_config={**GRID, "image_size": 32}, image_token_id=48,
        architectures=["Glm4vForConditionalGeneration"],
    ),
    "voxtral": lambda: transformers.VoxtralConfig(
        text_config=LLAMA, audio_token_id=48, architectures=["VoxtralForConditionalGeneration"],
        audio_config={
            "model_type": "voxtral_encoder", "hidden_size": 16, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_mel_bins": 8,
            "max_source_positions": 16,
        },
    ),
    "llava_next": lambda: transformers.LlavaNextConfig(
        text_config=LLAMA, vision_config=SEEN, image_token_index=48,
        architectures=["LlavaNextForConditionalGeneration"],
    ),
    "gemma3": lambda: transformers.Gemma3Config(
        text_config={
            **BERT, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 6,
            "layer_types": ["full_attention", "sliding_attention"],
        },
        vision_config=SEEN, image_token_index=48, mm_tokens_per_image=4,
        architectures=["Gemma3ForConditionalGeneration"],
    ),
    "vit": lambda: transformers.ViTConfig(
        **TEXT, intermediate_size=32, image_size=64, patch_size=16,
        architectures=["ViTForImageClassification"],
    ),
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], architectures=["ResNetModel"]
    ),
    "wav2vec2": lambda: transformers.Wav2Vec2Config(
        **TEXT, intermediate_size=32, vocab_size=30, conv_dim=[8, 8], conv_kernel=[4, 3],
        conv_stride=[2, 2], num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        architectures=["Wav2Vec2ForCTC"],
    ),
    "clip": lambda: transformers.CLIPConfig(
        text_config={**BERT, "max_position_embeddings": 20, **TOKENS},
        vision_config={**TEXT, "intermediate_size": 32, "image_size": 32, "patch_size": 16},
        projection_dim=8, architectures=["CLIPModel"],
    ),
}  # fmt: skip
"""Name: what makes its config."""
