"""A config of transformers made tiny, by what its fields are called: two layers, width 32.

Fields owe things to each other that no table knows. So there are degrees: the first shrinks all
that it can, the others leave the width of a head as it is (or half of it), then all widths, then
all but the number of layers, then all but the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

VOCABULARY, WIDTH, HEADS, LAYERS = 96, 32, 4, 2
ALL, HEADS_WHOLE, HEADS_HALF, NO_WIDTHS, LAYERS_ONLY, WORDS_ONLY = DEGREES = range(6)

_LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
_LAYERS = re.compile(r"(^|_)(layers?|blocks|depth)$")
_NOT_LAYERS = re.compile(
    r"feat|pretrain|skip|kv_shared|adapter|adopt|insert|dense|every|nextn|fpn|start|output|replace"
)
_WORDS = re.compile(r"vocab_size|^n_token$|^emb_vocab")
_TOKENS = re.compile(r"(token_id|token_index|_token|_index|_id)s?$")
_GIVEN_ELSEWHERE = ("stage_names", "out_features", "out_indices", "_out_features", "_out_indices")

_COUNTS: tuple[tuple[str, int], ...] = (
    (r"(n_routed_experts|num_experts|num_local_experts|moe_num_experts|n_experts|num_expert)$", 4),
    (r"(experts_per_tok(en)?|moe_topk|moe_k|top_k|num_selects)$", 2),
    (r"^(n_group|topk_group|num_expert_group)$", 1),
    (r"^num_kv_shared_layers$", 0),
    (r"^(max_position_embeddings|n_positions|max_target_positions|max_seq_len|n_ctx)$", 64),
    (r"^(max_source_positions|max_text_len)$", 32),
    (r"^(num_queries|num_query_tokens|num_latents|two_stage_num_proposals)$", 8),
    (r"^(sliding_window|attention_window|attention_chunk_size|local_attention)$", 8),
    (r"^window_size$", 4),
    (r"^context_size$", 16),
    (r"^spec_size$", 128),
    (r"^num_layers_per_stack$", 2),
    (r"^n_groups$", 2),
)
_WIDTHS: tuple[tuple[str, int], ...] = (
    (r"^(d_kv|d_head|rotary_dim|.*head_dim|mamba_d_head)$", 8),
    (r"^state_size$", 8),
    (r"(^|_)(kv|key_value)_?heads$|^num_kv_heads$|^multi_query_group_num$", 2),
    (r"^mamba_n_heads$", 2 * WIDTH // 8),
    (r"heads?$|_heads_", HEADS),
    (r"^qk_head_dim$", 16),
    (r"lora_rank$", 8),
    (r"(intermediate|ffn|inner|mlp|d_ff|feed_?forward|filter).*(_?size|_?dim)?$", 64),
    (r"^(n_embd|dim|emb_dim|width|embedding_size)$", WIDTH),
    (r"(hidden_size|embed_dim|hidden_dim|embedding_dim|projection_dim|d_model|proj_dim)$", WIDTH),
    (r"(output_size|output_dim|out_dim|proj_size|projection_size|_channels_?dim)$", WIDTH),
    (r"(encoder|decoder|mask_feature|fpn|projector)_hidden", WIDTH),
    (r"^(num_mel_bins|mel_bins|n_mels)$", 16),
    (r"^(num_conv_pos_embeddings)$", 16),
    (r"^(num_conv_pos_embedding_groups)$", 2),
    (r"^upsample_groups$", WIDTH),
    (r"^(mamba_d_state|state_size|ssm_state_size)$", 8),
    (r"^(fusion_hidden_size|feature_size|neck_hidden_size|classifier_hidden_size)$", WIDTH),
)
_LEFT_OPEN = {
    **dict.fromkeys(("num_experts_per_tok", "prediction_length"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts"), 1),
    "n_routed_experts": 4,
    "audio_token_id": VOCABULARY - 3,
}
"""Fields that some configs have no default for."""
_BESIDE_HEADS = tuple((said, size) for said, size in _WIDTHS if "head_dim" not in said)
"""Field: what its size becomes where it is larger; the first that matches."""
_TABLES = {
    ALL: _COUNTS + _WIDTHS,
    HEADS_WHOLE: _COUNTS + _BESIDE_HEADS,
    HEADS_HALF: _COUNTS + _BESIDE_HEADS,
    NO_WIDTHS: _COUNTS,
}


def shrunk(fields: Mapping[str, Any], degree: int = 0) -> dict[str, Any]:
    """The fields of a config (`to_dict`), smaller; parts that are configs the same way."""
    kept = _kept_layers(fields) if degree < WORDS_ONLY else []
    found = {
        name: _value(name, value, kept, fields, degree)
        for name, value in fields.items()
        if name not in _GIVEN_ELSEWHERE or "depths" in fields
    }
    found = _with_own_tokens(found)
    if degree in (HEADS_WHOLE, HEADS_HALF):
        found |= _two_heads(fields, 1 if degree == HEADS_WHOLE else 2)
    return found if degree >= LAYERS_ONLY else _consistent(found, fields, degree)


def _two_heads(fields: Mapping[str, Any], share: int) -> dict[str, Any]:
    """Two heads, as wide as they were or half of that: positions turn fixed parts of them."""
    width, heads = (fields.get(n) for n in ("hidden_size", "num_attention_heads"))
    if not isinstance(width, int) or not isinstance(heads, int) or not heads:
        return {}
    head = (fields.get("head_dim") or width // heads) // share
    found = {"hidden_size": 2 * head, "num_attention_heads": 2}
    found |= {"head_dim": head} if fields.get("head_dim") else {}
    keys = fields.get("num_key_value_heads")
    return found | ({"num_key_value_heads": 1 if keys < heads else 2} if keys else {})


def _layer_count(fields: Mapping[str, Any]) -> int:
    counts = (fields[n] for n in _LAYER_COUNTS if isinstance(fields.get(n), int))
    return next(counts, 0)


def _kept_layers(fields: Mapping[str, Any]) -> list[int]:
    """Which layers stay: one of each type, two at least."""
    count = _layer_count(fields)
    lists = [v for v in fields.values() if isinstance(v, (list, tuple)) and len(v) == count > 4]
    rows = [tuple(str(v[n]) for v in lists) for n in range(count)]
    kept = [rows.index(row) for row in dict.fromkeys(rows)][:6]
    others = [n for n in range(count) if n not in kept]
    return sorted([*kept, *others[: max(LAYERS - len(kept), 0)]])


def _value(name: str, value: Any, kept: list[int], whole: Mapping[str, Any], degree: int) -> Any:
    if isinstance(value, dict):
        if "model_type" in value or (name.endswith("_config") and not _numbered(value)):
            return shrunk(value, degree)
        if _numbered(value) and kept:
            at = {n: i for i, n in enumerate(kept)}
            return {at[int(k)]: v for k, v in value.items() if int(k) in at}
        return _rope(value) if degree == ALL and "mrope_section" in value else value
    if _WORDS.search(name):
        return min(value or VOCABULARY, VOCABULARY) if not isinstance(value, list) else value
    if isinstance(value, (list, tuple)):
        if kept and len(value) == _layer_count(whole) > 4:
            return [value[n] for n in kept]
        return type(value)(_stages(name, value)) if degree < NO_WIDTHS else value
    if value is None:
        return _LEFT_OPEN.get(name)
    if isinstance(value, float) and name in ("width_coefficient", "depth_coefficient"):
        return 0.5
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if kept and name in _LAYER_COUNTS and value == _layer_count(whole):
        return len(kept)
    if _LAYERS.search(name) and not _NOT_LAYERS.search(name) and degree < WORDS_ONLY:
        return min(value, LAYERS)
    tables = _TABLES.get(degree, ())
    return next((min(value, size) for said, size in tables if re.search(said, name)), value)


def _numbered(value: dict[Any, Any]) -> bool:
    return bool(value) and all(str(k).isdigit() for k in value)


def _rope(value: dict[str, Any]) -> dict[str, Any]:
    """Positions in time, height and width share half of a head of 16."""
    half = int(16 * float(value.get("partial_rotary_factor", 1.0))) // 2
    side = half // 4
    return value | {"mrope_section": [half - 2 * side, side, side]}


def _stages(name: str, value: Any) -> Any:
    """Stages of a pyramid: one block each, and the widths in their old proportion."""
    if not value or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        return value
    if name in ("depths", "layers", "stage_num_blocks", "num_blocks"):
        return [min(v, 1) for v in value]
    if name in ("conv_dim", "tdnn_dim"):
        return [16 for _ in value]
    if name in ("encoder_in_channels", "decoder_in_channels"):  # of the second stage on
        return [32 * v // min(value) for v in value]
    if re.search(r"(hidden_sizes|channels|widths|dims?)$", name) and min(value) > 16:
        return [16 * v // min(value) for v in value]
    if re.search(r"heads$", name):
        return [min(v, 2) for v in value]
    return value


def _with_own_tokens(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers of special tokens within the vocabulary, each another one."""
    words = fields.get("vocab_size")
    words = words if isinstance(words, int) else VOCABULARY
    free, moved = iter(range(words - 1, -1, -1)), dict[int, int]()

    def within(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [within(v) for v in value]
        if isinstance(value, bool) or not isinstance(value, int) or value < words:
            return value
        return moved[value] if value in moved else moved.setdefault(value, next(free))

    return {n: within(v) if _TOKENS.search(n) else v for n, v in fields.items()}


def _left_open(fields: Mapping[str, Any], heads: Sequence[str]) -> dict[str, Any]:
    """What some models do not make up for themselves where a config says None."""
    found: dict[str, Any] = {}
    count = fields[heads[0]] if heads else None
    if isinstance(count, int) and fields.get("hidden_size"):
        found = {"head_dim": fields["hidden_size"] // count, "num_key_value_heads": count}
    if "conv_L_cache" in fields:  # Lfm2
        found["layer_types"] = ["conv", "full_attention"]
    return {n: v for n, v in found.items() if fields.get(n, v) is None}


def _of_one_family(fields: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    if "num_feature_levels" in fields:  # Deformable DETR's levels are normalized in 32 groups
        found["d_model"] = 2 * WIDTH
    if "frames_per_clip" in fields:  # V-JEPA 2 attends over all of 64
        found["frames_per_clip"] = 4
    if "spec_size" in fields:  # CLAP folds a spectrogram four times over, and doubles three times
        found["num_mel_bins"] = fields["spec_size"] // 4
        found["hidden_size"] = 8 * fields["patch_embeds_hidden_size"]
    return found


def _consistent(fields: dict[str, Any], before: Mapping[str, Any], degree: int) -> dict[str, Any]:
    """What fields owe to each other: patches fill an image, heads keep their groups."""
    patch = fields.get("patch_size")
    if isinstance(patch, int) and patch > 16:
        fields["patch_size"] = patch = 16
    image = 64
    if isinstance(patch, int):
        image = 128 if patch <= 4 else 4 * patch
    for name in ("image_size", "crop_size"):
        size = fields.get(name)
        if isinstance(size, int) and size > image:
            fields[name] = image
        elif isinstance(size, (list, tuple)) and size and min(size) > image:
            fields[name] = [image for _ in size]
    heads = [n for n in before if n.endswith("attention_heads") or n in ("num_heads", "n_head")]
    fields |= _left_open(fields, heads)
    if degree != ALL:
        return fields
    fields |= _of_one_family(fields)
    if isinstance(fields.get("mamba_d_ssm"), int):  # Falcon-H1
        fields |= {"mamba_d_ssm": fields["mamba_n_heads"] * 8, "mamba_d_head": 8}
    if {"expand", "num_heads", "head_dim", "hidden_size"} <= set(fields):  # Mamba-2
        inner = int(fields["expand"] * fields["hidden_size"])
        fields["num_heads"] = inner // fields["head_dim"]
    if isinstance(before.get("width_coefficient"), float):  # EfficientNet's last layer follows it
        fields["hidden_dim"] = 640
    rope = before.get("rope_parameters") or before.get("rope_scaling") or {}
    if isinstance(rope, dict) and "mrope_section" in rope:
        fields |= dict.fromkeys(heads, 2) | ({"head_dim": 16} if before.get("head_dim") else {})
        fields |= {"num_key_value_heads": 2} if "num_key_value_heads" in fields else {}
    for name in ("num_key_value_heads", "num_kv_heads", "n_kv_heads"):
        if heads and isinstance(before.get(name), int) and before[name] == before[heads[0]]:
            fields[name] = fields[heads[0]]
    return fields
