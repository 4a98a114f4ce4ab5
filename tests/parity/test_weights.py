"""Weights compared bit by bit: damage is told from a rewrite."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from toolkit.dtypes import numpy_dtype
from toolkit.parity.flaw import Flaw
from toolkit.parity.weights import damaged, unrelated

ORIGINAL = {"w": np.random.default_rng(0).standard_normal((10, 10)).astype(np.float32)}


def test_equal_weights_are_no_damage() -> None:
    assert damaged(ORIGINAL, {"w": ORIGINAL["w"].copy()}) == []


def test_one_element_that_moved_is_named() -> None:
    found = ORIGINAL["w"].copy()
    found[3, 4] *= 1.01
    (flaw,) = damaged(ORIGINAL, {"w": found})
    assert flaw.told.startswith("weight 'w' differs from the original's in 1 of 100 elements")
    assert flaw.told.endswith("at [3, 4]")


def test_a_fold_changes_every_element_and_is_no_damage() -> None:
    assert damaged(ORIGINAL, {"w": ORIGINAL["w"] * 1.5}) == []


SCALES = np.random.default_rng(1).uniform(0.1, 3.0, (10, 1)).astype(np.float32)
"""Of a batch norm that was folded into the weight, a channel each."""


def test_damage_is_seen_under_a_batch_norm_that_was_folded() -> None:
    pruned = np.where(np.abs(ORIGINAL["w"]) < 0.9, np.float32(0), ORIGINAL["w"])
    for weight in (ORIGINAL["w"], pruned):
        folded = weight * SCALES
        assert damaged({"w": weight}, {"w": folded}) == []
        at = np.unravel_index(int(np.abs(folded).argmax()), folded.shape)
        folded[at] *= np.float32(1.001)
        (flaw,) = damaged({"w": weight}, {"w": folded})
        assert "in 1 of 100 elements" in flaw.told
        assert flaw.told.endswith(f"at [{at[0]}, {at[1]}]")


@pytest.mark.parametrize("short", ["float16", "bfloat16"])
def test_a_weight_that_went_through_a_shorter_format_is_named(short: str) -> None:
    found = ORIGINAL["w"].astype(numpy_dtype(short)).astype(np.float32)
    (flaw,) = damaged(ORIGINAL, {"w": found})
    assert flaw == Flaw(f"weight 'w' is the original's rounded to {short}", "w")
    assert damaged({"w": found}, {"w": found.copy()}) == []


def test_other_shapes_dtypes_and_names_are_not_compared() -> None:
    w = ORIGINAL["w"]
    for found in ({"w": w.T[:5]}, {"w": w.astype(np.float64)}, {"v": w + 1}):
        assert damaged(ORIGINAL, found) == []


def test_nan_equals_itself_bit_by_bit() -> None:
    weights = {"w": np.array([np.nan, 1.0], np.float32)}
    assert damaged(weights, {"w": weights["w"].copy()}) == []


def test_another_draw_of_the_same_model_is_unrelated() -> None:
    assert unrelated(ORIGINAL, {"w": ORIGINAL["w"][::-1] + 1})


def test_weights_that_are_partly_the_same_are_related() -> None:
    found = {"w": ORIGINAL["w"] * 2, "v": np.arange(20.0)}
    assert not unrelated({**ORIGINAL, "v": np.arange(20.0)}, found)


def test_a_matrix_that_is_stored_transposed_is_compared_the_right_way_round() -> None:
    found = ORIGINAL["w"].T.copy()
    assert damaged(ORIGINAL, {"w.T": found}) == []
    found[4, 3] *= 1.01
    (flaw,) = damaged(ORIGINAL, {"w.T": found})
    assert flaw.told.startswith("weight 'w' differs")
    assert flaw.at == "w.T"
    assert flaw.told.endswith("at [3, 4]")


def test_a_weight_whose_own_name_ends_like_a_transposed_one_is_itself() -> None:
    weights = {**ORIGINAL, "w.T": ORIGINAL["w"] + 1}
    assert damaged(weights, dict(weights)) == []


class Reading(Mapping[str, np.ndarray]):
    """Says which tensors were asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.append(name)
        return ORIGINAL["w"]

    def __iter__(self) -> Iterator[str]:
        return iter(("other", "w"))

    def __len__(self) -> int:
        return 2


def test_only_tensors_that_both_have_are_read() -> None:
    found = Reading()
    assert damaged(ORIGINAL, found) == []
    assert found.read == ["w"]
