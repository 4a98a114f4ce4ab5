"""Which numbers a range or a set holds, once they are those of a dtype."""

from collections.abc import Callable
from math import inf, nan

import ml_dtypes
import numpy as np
import pytest

from toolkit.domain import Choices, Domain, Interval, admits, representable
from toolkit.errors import InputError
from toolkit.signature import Signature, TensorSpec


def spec(text: str) -> TensorSpec:
    return Signature.parse(f"x: {text}").inputs[0]


def admitted(text: str, array: np.ndarray) -> np.ndarray:
    domain, dtype = spec(text).values, spec(text).dtype
    assert domain is not None
    return admits(domain, array, dtype)


@pytest.mark.parametrize(
    ("low", "high", "step", "message"),
    [
        (1, 0, None, "range 1..0 is empty"),
        (nan, 1, None, "range nan..1 is empty"),
        (0, 1, 0, "step 0 is not positive"),
        (0, 1, -1, "step -1 is not positive"),
        (0, 1, inf, "step inf is not positive"),
    ],
)
def test_refuses_a_range_that_holds_nothing(
    low: float, high: float, step: float | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Interval(low, high, step)


def test_refuses_an_empty_set() -> None:
    with pytest.raises(InputError, match="an empty set accepts nothing"):
        Choices(())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("float32[] in 0.1..0.3", np.float32(0.3)),  # more than 0.3: float32 rounds the end too
        ("float16[] in {0.1}", np.float16(0.1)),
        ("bfloat16[] in 0..1", ml_dtypes.bfloat16(1)),
        ("float32[] in 0..inf", np.float32(inf)),
        ("int64[] in 0..inf", np.int64(7)),
        ("uint8[] in 0..256", np.uint8(255)),
        ("uint8[] in -1..1", np.uint8(1)),
        ("int8[] in -1000..1000", np.int8(-128)),
        ("uint64[] in 0..18446744073709551615", np.uint64(2**64 - 1)),
        ("uint64[] in {0, 18446744073709551615}", np.uint64(2**64 - 1)),
        ("bool[] in {0, 1}", np.bool_(True)),
        ("bool[] in 0..1", np.bool_(True)),
        ("float32[] in data", np.float32(nan)),
        ("int8[] in data", np.int8(-128)),
        ("int8[] in -7..8 step 5", np.int8(-2)),
        ("uint8[] in 7..255 step 300", np.uint8(7)),
    ],
)
def test_admits_numbers_as_the_dtype_holds_them(text: str, value: np.generic) -> None:
    assert admitted(text, np.asarray(value)).all()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("float32[] in 0..1", np.float32(1.0001)),
        ("float32[] in 0..1", np.float32(nan)),
        ("float32[] in {0, 1}", np.float32(nan)),
        ("float32[] in 0..1 step 0.5", np.float32(nan)),
        ("float32[] in 0..1 step 0.5", np.float32(0.25)),
        ("float32[] in 0..10000 step 0.1", np.float32(4999.95)),
        ("int64[] in 0.5..3.5", np.int64(0)),
        ("int8[] in -7..8 step 5", np.int8(-3)),
        ("uint64[] in {0, 18446744073709551615}", np.uint64(2**64 - 2)),
    ],
)
def test_admits_no_others(text: str, value: np.generic) -> None:
    assert not admitted(text, np.asarray(value)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "numbers",
    [
        lambda dtype: np.arange(100, dtype=dtype) / 10,
        lambda dtype: np.arange(100, dtype=dtype) * np.dtype(dtype).type(0.1),
        lambda dtype: np.arange(0, 10, 0.1, dtype=dtype),
        lambda dtype: np.linspace(0, 10, 101, dtype=dtype),
    ],
    ids=["divided", "multiplied", "arange", "linspace"],
)
def test_admits_steps_however_they_were_computed(
    numbers: Callable[[str], np.ndarray], dtype: str
) -> None:
    assert admitted(f"{dtype}[] in 0..10 step 0.1", numbers(dtype)).all()


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("float32[]", Interval(-inf, inf)),
        ("float32[] in data", Interval(-inf, inf)),
        ("int8[]", Interval(-128, 127)),
        ("bool[]", Interval(0, 1)),
        ("uint8[] in -5..300", Interval(0, 255)),
        ("int64[] in 0.5..3.5", Interval(1, 3)),
        ("int64[] in {0.5, 1}", Choices((1,))),
        ("float32[] in -10..-1 step 4", Interval(-10, -2, 4)),
        ("uint8[] in -5..300 step 10", Interval(5, 255, 10)),
        ("float32[] in 0..1", Interval(0, 1)),
    ],
)
def test_the_representable_part_of_a_domain_ends_at_numbers_that_are_reached(
    text: str, domain: Domain
) -> None:
    assert representable(spec(text).values, spec(text).dtype) == domain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uint8[] in 300..400", "no uint8 lies in 300..400"),
        ("bool[] in {2, 3}", "no bool lies in 2..3"),
        ("int64[] in 0.2..0.8", "no int64 lies in 0.2..0.8"),
        ("int64[] in 0..1 step 0.5", "steps of int64 are whole numbers"),
    ],
)
def test_refuses_a_domain_of_which_the_dtype_holds_nothing(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        representable(spec(text).values, spec(text).dtype)
