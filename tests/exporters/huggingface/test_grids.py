"""Towers that take patches: these are those of transformers' processor, and windows stay apart."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from exporters.huggingface.grids import GridEncoder, PatchTower, Places
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from tests.exporters.huggingface.test_sequences import original


def encoder(model: Any, height: int, width: int) -> GridEncoder:
    return GridEncoder(PatchTower(model.model.visual, height, width)).eval()


def test_patches_are_those_of_the_processor() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (3, 32, 48), dtype=np.uint8)
    processor = Qwen2VLImageProcessorPil(
        do_resize=False, patch_size=8, merge_size=2, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    theirs = processor(images=[picture], return_tensors="pt", input_data_format="channels_first")
    normalized = (torch.from_numpy(picture).float() / 255 - 0.5) / 0.25
    ours = encoder(original("qwen2_vl"), 32, 48).given(normalized[None, None])
    torch.testing.assert_close(ours["pixel_values"], theirs["pixel_values"])
    assert ours["image_grid_thw"].tolist() == theirs["image_grid_thw"].tolist() == [[1, 4, 6]]


@pytest.mark.parametrize(
    ("name", "size"),
    [("qwen2_vl", (32, 48)), ("qwen2_5_vl", (64, 96)), ("qwen3_vl", (32, 48)), ("glm4v", (32, 48))],
)
@torch.no_grad()
def test_features_of_many_pictures_are_those_of_the_model(name: str, size: tuple[int, int]) -> None:
    model = original(name)
    subject = encoder(model, *size)
    media = torch.randn(2, 3, 3, *size, generator=torch.Generator().manual_seed(0))
    given: dict[str, Any] = subject.given(media)
    found = model.get_image_features(given["pixel_values"], given["image_grid_thw"])
    layers = (found.pooler_output, *(getattr(found, "deepstack_features", None) or ()))
    ours = subject(media)["features"]
    assert ours.shape[:2] == (2, 3 * subject.grid[0] * subject.grid[1])
    torch.testing.assert_close(ours.flatten(0, 1), torch.cat([*map(torch.cat, layers)], dim=-1))


def test_positions_are_those_of_the_model() -> None:
    model: Any = original("qwen2_vl").model
    rows, columns = 2, 3
    row = [0, 0, *[1] * 6, 0, *[1] * 6, 0]
    kinds = torch.tensor([row, row])
    mask = torch.ones_like(kinds)
    mask[1, 0] = 0
    theirs, _ = model.get_rope_index(
        torch.zeros_like(kinds),
        mm_token_type_ids=kinds,
        image_grid_thw=torch.tensor([[1, 2 * rows, 2 * columns]] * 4),
        attention_mask=mask,
    )
    ours = Places(rows, columns)(mask, kinds * mask)
    assert torch.equal(ours * mask, theirs * mask)


@torch.no_grad()
def test_a_tower_alone_takes_pictures() -> None:
    model: Any = original("qwen2_5_vl").model.visual
    built = wrapped(model, Ranges(batch=2, image=64))
    (pixels,) = built.signature.inputs
    assert pixels.shape == ("batch", 3, 64, 64)
    found = built.module(torch.zeros(2, 3, 64, 64))
    assert {n: tuple(t.shape) for n, t in found.items()} == {
        "last_hidden_state": (2, 64, 16),
        "pooler_output": (2, 16, 16),
    }
