"""The contract itself: what it admits, what it refuses and why, and which sizes it speaks of."""

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from toolkit.domain import Choices, Interval
from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.examples import draw
from toolkit.signature import Dim, Signature, TensorSpec

UNTIMED = settings(deadline=None)  # the machine may be busy
IMAGES = Signature.parse(
    """
    pixels: float32[batch, 1, 28, 28] in 0..1
    ids: int64[batch, tokens] in 0..99
    mask: int64[batch, tokens] in {0, 1}
    level: float32[] in 0..10 step 2.5
    where batch = 1..64, tokens = 8..512 step 8
    """
)
FEED = {
    "pixels": np.zeros((5, 1, 28, 28), np.float32),
    "ids": np.zeros((5, 16), np.int64),
    "mask": np.ones((5, 16), np.int64),
    "level": np.array(7.5, np.float32),
}


def test_a_feed_that_fits_gives_the_size_of_each_dimension() -> None:
    assert IMAGES.validate(FEED) == {"batch": 5, "tokens": 16}


@pytest.mark.parametrize(
    ("changed", "message", "hint"),
    [
        pytest.param(
            {"images": FEED["pixels"]},
            "there is no input 'images'",
            "inputs are: ids, level, mask, pixels",
            id="unknown",
        ),
        pytest.param(
            {"mask": None}, "input 'mask' is missing", "mask: int64[batch, tokens]", id="missing"
        ),
        pytest.param(
            {"ids": np.zeros((5, 16), np.int32)},
            "input 'ids' is int32, expected int64",
            "x.astype('int64')",
            id="wrong dtype",
        ),
        pytest.param(
            {"ids": np.zeros(16, np.int64)},
            "input 'ids' has shape [16], expected [batch, tokens]",
            "it has 1 dimensions, the signature 2",
            id="wrong rank",
        ),
        pytest.param(
            {"level": np.zeros(1, np.float32)},
            "input 'level' has shape [1], expected []",
            "it has 1 dimensions, the signature 0",
            id="not a scalar",
        ),
        pytest.param(
            {"pixels": np.zeros((28, 28, 1), np.float32)},
            "input 'pixels' has shape [28, 28, 1], expected [batch, 1, 28, 28]",
            "transpose with x.transpose(2, 0, 1)[None]",
            id="one image, channels last",
        ),
        pytest.param(
            {"pixels": np.zeros((5, 28, 28, 1), np.float32)},
            "input 'pixels' has shape [5, 28, 28, 1], expected [batch, 1, 28, 28]",
            "transpose with x.transpose(0, 3, 1, 2)",
            id="images, channels last",
        ),
        pytest.param(
            {"pixels": np.zeros((5, 1, 28, 32), np.float32)},
            "input 'pixels' has shape [5, 1, 28, 32], expected [batch, 1, 28, 28]",
            "axis 3 must be 28",
            id="another fixed size",
        ),
        pytest.param(
            {"mask": np.ones((5, 24), np.int64)},
            "input 'mask' has shape [5, 24], expected [batch, tokens]",
            "'tokens' is 16 in another axis",
            id="shared dimension",
        ),
        pytest.param(
            {"pixels": np.zeros((65, 1, 28, 28), np.float32)},
            "input 'pixels' has batch = 65, expected 1..64",
            "split the data",
            id="size out of range",
        ),
        pytest.param(
            {"ids": np.zeros((5, 12), np.int64)},
            "input 'ids' has tokens = 12, expected 8..512 step 8",
            "split the data",
            id="size between steps",
        ),
        pytest.param(
            {"ids": np.full((5, 16), 100)},
            "input 'ids' holds 100, expected 0..99",
            "scale or clip the data",
            id="value out of range",
        ),
        pytest.param(
            {"pixels": np.full((5, 1, 28, 28), nan, np.float32)},
            "input 'pixels' holds nan, expected 0..1",
            "scale or clip the data",
            id="NaN in a range",
        ),
        pytest.param(
            {"mask": np.full((5, 16), 2)},
            "input 'mask' holds 2, expected {0, 1}",
            "scale or clip the data",
            id="value not in the set",
        ),
        pytest.param(
            {"level": np.array(3, np.float32)},
            "input 'level' holds 3.0, expected 0..10 step 2.5",
            "scale or clip the data",
            id="value between steps",
        ),
    ],
)
def test_refuses_a_feed_that_does_not_fit(
    changed: dict[str, np.ndarray | None], message: str, hint: str
) -> None:
    feed = {name: array for name, array in {**FEED, **changed}.items() if array is not None}
    with pytest.raises(InputError) as caught:
        IMAGES.validate(feed)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_refuses_a_size_that_is_not_in_the_set() -> None:
    signature = Signature.parse("x: float32[n]; where n = {1, 4, 16}")
    with pytest.raises(InputError, match=r"'x' has n = 5, expected \{1, 4, 16\}"):
        signature.validate({"x": np.zeros(5, np.float32)})


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_without_a_range_admits_anything(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (3,))
    feed = {"x": draw(spec, (3,), "uniform", np.random.default_rng(0))}
    assert Signature((spec,)).validate(feed) == {}


def test_an_empty_array_holds_no_value_to_refuse() -> None:
    signature = Signature.parse("x: float32[n] in 0..1; where n = 0..4")
    assert signature.validate({"x": np.zeros(0, np.float32)}) == {"n": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: float32[2]; x: float32[2]", "'x' is declared twice"),
        ("x: float32[2]; -> x: float32[2]", "'x' is declared twice"),
        ("x: float32[batch]", "dimension 'batch' has no range"),
        ("x: float32[2]; where batch = 1..4", "no input has a dimension 'batch'"),
        ("x: float32[n]; where n = 1..4; where n = 1..8", "a dimension has two ranges"),
        ("x: float8[2]", "'x' has unknown dtype 'float8'"),
        ("x: float32[n]; where n = 4..1", "range 4..1 is empty"),
        ("x: float32[n]; where n = 1..inf", "dimension 'n' has sizes 1..inf"),
        ("x: float32[n]; where n = -1..4", "dimension 'n' has sizes -1..4"),
        ("x: float32[n]; where n = 0.5..4", "dimension 'n' has sizes"),
        ("x: float32[n]; where n = {1, 2.5, 4}", "dimension 'n' has sizes"),
        ("x: float32[n]; where n = 1..8 step 0.5", "dimension 'n'"),
    ],
)
def test_refuses_a_signature_that_contradicts_itself(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Signature.parse(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("x: float32[n, 4]; where n = 1..8", "n"),
        ("x: float32[n]; y: float32[n, 2]; s: float32[]; where n = 1..8", "n"),
        ("x: float32[n, n]; where n = 1..8", None),
        ("x: float32[n]; y: float32[2, n]; where n = 1..8", None),
        ("x: float32[n]; y: float32[m]; where n = 1..8, m = 1..8", None),
        ("x: float32[3, n]; where n = 1..8", None),
        ("s: float32[]", None),
    ],
)
def test_the_batch_leads_every_input_and_stands_nowhere_else(text: str, batch: str | None) -> None:
    assert Signature.parse(text).batch == batch


RANGES = st.builds(
    lambda low, more, step: Dim("n", Interval(low, low + more, step)),
    st.integers(0, 50),
    st.integers(0, 200),
    st.none() | st.integers(1, 70),
)
SETS = st.lists(st.integers(0, 200), min_size=1).map(lambda v: Dim("n", Choices(tuple(v))))


@UNTIMED
@given(dim=RANGES | SETS, size=st.integers(-10, 300))
def test_snap_gives_the_legal_size_nearest_to_any_other(dim: Dim, size: int) -> None:
    nearest = min((n for n in range(301) if n in dim.sizes), key=lambda n: abs(n - size))
    assert dim.snap(size) == nearest


@UNTIMED
@given(dim=RANGES | SETS)
def test_legal_sizes_are_those_in_the_domain_ascending(dim: Dim) -> None:
    assert list(dict.fromkeys(dim.legal)) == [n for n in range(301) if n in dim.sizes]
