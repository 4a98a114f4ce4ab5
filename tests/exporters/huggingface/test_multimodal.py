"""Models of transformers that read pictures among words: what they write is what generate writes,
and where they read pictures in a way of their own, it is said that pictures are left out."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import toolkit
from exporters.huggingface.readings import Ranges
from exporters.huggingface.source import wrapped
from tests.exporters.huggingface.conftest import Folder
from tests.exporters.huggingface.test_sequences import MOST, original, padded, until_end, written
from toolkit import sequence, source
from toolkit.errors import InputError
from toolkit.pipeline.generate import eager_generator
from toolkit.pipeline.sequence import random_rows

PICTURE = 48
"""The token in whose place a feature goes."""
GRIDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v")
NAMES = ("llava", "internvl", "smolvlm", "gemma3", *GRIDS, "voxtral")
"""Voxtral reads sounds, of 32 frames in 8 bands, all others pictures."""


def asked() -> tuple[list[list[int]], np.ndarray]:
    """Prompts with two pictures among other words, and the pictures."""
    one = [PICTURE] * 4
    prompts = [[1, *one, 7, *one, 8, 5], [5, 6, 9, *one, 2, 3, *one, 3], [*one, 7, *one, 4]]
    rng = np.random.default_rng(0)
    return prompts, rng.uniform(-2, 2, (3, 2, 3, 32, 32)).astype(np.float32)


def as_its_own(name: str, media: np.ndarray, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a model itself takes as two pictures or sounds in each text."""
    given = torch.from_numpy(media.copy())
    if name == "smolvlm":
        return {"pixel_values": given}
    if name in GRIDS:
        return {**patched(given.flatten(0, 1)), "mm_token_type_ids": (ids == PICTURE).long()}
    if name == "voxtral":
        return {"input_features": given.flatten(0, 1)}
    told = {"token_type_ids": (ids == PICTURE).long()} if name == "gemma3" else {}
    return {"pixel_values": given.flatten(0, 1), **told}


def patched(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """Patches of 8 x 8, in blocks of 2 x 2, each twice in time: as the processor makes them."""
    rows = []
    for picture in pictures:
        for top, left in product(range(0, 32, 16), repeat=2):
            for y, x in product((top, top + 8), (left, left + 8)):
                patch = picture[:, y : y + 8, x : x + 8]
                rows.append(torch.stack((patch, patch), dim=1).flatten())
    grid = torch.tensor([[1, 4, 4]] * len(pictures))
    return {"pixel_values": torch.stack(rows), "image_grid_thw": grid}


@pytest.mark.parametrize("name", NAMES)
def test_it_writes_what_generate_writes_of_a_picture_or_a_sound(name: str) -> None:
    model = original(name)
    prompts, media = asked()
    if name == "voxtral":
        media = media[:, :, 0, :8]
    ids, mask = padded(prompts)
    settings = {"do_sample": False, "max_new_tokens": MOST, "pad_token_id": 0}
    with torch.no_grad():
        theirs, others = (
            model.generate(ids, attention_mask=mask, **as_its_own(name, seen, ids), **settings)
            for seen in (media, media[::-1])
        )
    expected = until_end(theirs, ids.shape[1], model.config.text_config.eos_token_id)
    input_name = "input_features" if name == "voxtral" else "pixel_values"
    assert written(model, source={input_name: media}, prompts=prompts) == expected
    assert not torch.equal(theirs, others)  # else what is seen or heard would not matter


def test_pictures_that_are_read_in_another_way_leave_the_words_and_it_is_said() -> None:
    built = wrapped(original("llava_next"), Ranges(batch=2, tokens=8))
    assert list(built.module.parts) == ["decoder"]
    assert any("pixel_values are left out" in note for note in built.notes)


def test_it_ships_and_the_bundle_reads_pictures(folder: Folder, tmp_path: Path) -> None:
    bundle = toolkit.ship_sequence(
        f"hf:{folder('qwen2_vl')},batch=2,tokens=6,image=32", tmp_path / "bundle", budget=2.0
    )
    assert all(part.exported.report.holds for part in bundle.parts.values())
    assert all(w.equal == w.rows for w in bundle.writings if w.subject != "int8")
    prompts, pictures = asked()
    ids, mask = (t.numpy() for t in padded(prompts))
    rows = {"pixel_values": pictures, "ids": ids, "mask": mask}
    done = toolkit.generate(tmp_path / "bundle", rows, tmp_path / "tokens.npz", most=3)
    assert done.rows == 3
    with pytest.raises(InputError, match="ids"):
        toolkit.generate(tmp_path / "bundle", {"pixel_values": pictures}, tmp_path / "none.npz")


def test_a_prompt_whose_parts_attend_to_later_ones_is_not_cut() -> None:
    prompt = [1, *[PICTURE] * 4, *[5] * 20]
    pictures = np.zeros((1, 1, 3, 32, 32), np.float32)
    with pytest.raises(InputError, match="in one step"):
        written(original("gemma3"), source={"pixel_values": pictures}, prompts=[prompt])


def test_prompts_that_are_drawn_fit_in_one_step() -> None:
    built = wrapped(original("gemma3"), Ranges(batch=2, tokens=2, image=32, media=4))
    loaded = source.load((built.module, built.signature))
    parts, generation = sequence.parts(loaded), sequence.generation(loaded)
    rows = random_rows(parts, generation, 0)
    assert (rows["ids"] == PICTURE).sum(1).tolist() == [16] * len(rows["ids"])
    assert eager_generator(parts, generation, "cpu").longest_step == rows["ids"].shape[1]


def test_a_decoder_is_told_the_places_of_a_picture_and_carries_how_many_were_read() -> None:
    parts = wrapped(original("llava"), Ranges(batch=2, tokens=8)).module.parts
    inputs = [s.name for s in parts["decoder"].inputs]
    assert inputs[:6] == [
        *("ids", "mask", "placeholder", "features", "past.mask", "past.placeholder")
    ]
    assert "present.placeholder" in [s.name for s in parts["decoder"].outputs]
