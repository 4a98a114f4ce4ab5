"""The example that a tracer sees."""

import pytest
import torch

from exporters.example import axes, example
from toolkit.dtypes import DTYPES
from toolkit.examples import example_sizes
from toolkit.signature import Signature

TEXT = Signature.parse(
    """
    ids: int64[batch, tokens] in 3..9
    scale: float32[batch, 4] in 0..1
    where batch = 1..8, tokens = 8..64 step 8
    """
)


def test_there_is_a_tensor_an_input_in_their_order() -> None:
    sizes = example_sizes(TEXT)
    ids, scale = example(TEXT)
    assert ids.shape == (sizes["batch"], sizes["tokens"])
    assert scale.shape == (sizes["batch"], 4)


def test_values_are_inside_their_ranges() -> None:
    ids, scale = example(TEXT)
    assert set(ids.unique().tolist()) <= set(range(3, 10))
    assert 0 <= scale.min() <= scale.max() <= 1


def test_it_is_the_same_every_time() -> None:
    assert all(torch.equal(a, b) for a, b in zip(example(TEXT), example(TEXT), strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_have_the_dtype_of_the_signature(dtype: str) -> None:
    (x,) = example(Signature.parse(f"x: {dtype}[n, 3]; where n = 1..8"))
    assert x.dtype == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("shape", "dynamic"),
    [
        (("batch", 3, "h"), {0: "batch", 2: "h"}),
        ((2, 3), {}),
        (("n", "n"), {0: "n", 1: "n"}),
        ((), {}),
    ],
)
def test_named_axes_are_dynamic(shape: tuple[int | str, ...], dynamic: dict[int, str]) -> None:
    assert axes(shape) == dynamic
