"""Weights under other names, their rows in another order: what was damaged among them is told."""

import numpy as np
import pytest

from toolkit.parity.rearranged import damaged

RNG = np.random.default_rng(0)
ORIGINAL = {
    "weight_ih": RNG.standard_normal((32, 3), np.float32),
    "weight_hh": RNG.standard_normal((32, 8), np.float32),
    "bias_ih": RNG.standard_normal(32, np.float32),
    "bias_hh": RNG.standard_normal(32, np.float32),
}
GATES = np.concatenate([np.arange(8), np.arange(24, 32), np.arange(8, 24)])
"""Of an LSTM: input, forget, cell, output in PyTorch; input, output, forget, cell in ONNX."""


def stored() -> dict[str, np.ndarray]:
    """As an ONNX LSTM has them."""
    biases = np.concatenate([ORIGINAL["bias_ih"][GATES], ORIGINAL["bias_hh"][GATES]])
    return {
        "W": ORIGINAL["weight_ih"][GATES][None],
        "R": ORIGINAL["weight_hh"][GATES][None],
        "B": biases[None],
    }


def test_gates_in_another_order_are_no_damage() -> None:
    assert damaged(ORIGINAL, stored()) == []


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [("W", (0, 5, 1), "1 of 32 rows"), ("R", (0, 9, 7), "1 of 32 rows"), ("B", (0, 40), "1 of 64")],
)
def test_one_element_that_moved_by_a_thousandth_is_told(
    name: str, at: tuple[int, ...], said: str
) -> None:
    found = stored()
    found[name] = found[name].copy()
    found[name][at] *= np.float32(1.001)
    (flaw,) = damaged(ORIGINAL, found)
    assert f"weight '{name}' has {said}" in flaw.told
    assert f"{found[name][at]:.9g} in row {at[1]}" in flaw.told
    assert flaw.at == name


def test_both_directions_in_one_tensor_are_no_damage() -> None:
    found = {"W": np.stack([ORIGINAL["weight_ih"][GATES], ORIGINAL["weight_ih"][::-1]])}
    assert damaged(ORIGINAL, found) == []


def test_biases_that_were_added_up_are_no_damage() -> None:
    assert damaged(ORIGINAL, {"B": (ORIGINAL["bias_ih"] + ORIGINAL["bias_hh"])[None]}) == []


def test_rows_that_a_rewrite_adds_are_no_damage() -> None:
    padded = np.concatenate([ORIGINAL["weight_hh"], np.zeros((1, 8), np.float32)])
    assert damaged(ORIGINAL, {"R": padded}) == []


def test_constants_that_begin_as_zeros_are_no_damage() -> None:
    original = {"bias": np.append(np.zeros(31, np.float32), np.float32(1.25))}
    assert damaged(original, {"c": np.append(np.zeros(15, np.float32), np.float32(1.0))}) == []


def test_a_weight_that_has_its_name_is_left_to_its_pair() -> None:
    found = {"weight_hh": ORIGINAL["weight_hh"].copy()}
    found["weight_hh"][0, 0] += 1
    assert damaged(ORIGINAL, found) == []
