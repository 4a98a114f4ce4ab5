"""Example inputs: sizes that no exporter takes for one another, values that always fit."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from toolkit.domain import Choices, Interval
from toolkit.dtypes import DTYPES, numpy_dtype, smallest_normal
from toolkit.errors import InputError
from toolkit.examples import FILLS, draw, example_sizes, feeds, flushed, sample
from toolkit.signature import Dim, Signature, TensorSpec

UNTIMED = settings(deadline=None)  # the machine may be busy
SEEDS = st.integers(0, 2**32)
DIMS = ("a", "b", "c", "d")
SIGNATURE = Signature.parse(
    """
    pixels: float32[batch, 3, h, w] in 0..1
    noise: float32[batch, 5]
    mask: bool[batch]
    where batch = 1..64, h = 32..512 step 32, w = {224, 384, 512}
    """
)


@st.composite
def wide_dims(draw: st.DrawFn, name: str) -> Dim:
    """At least 20 legal sizes: enough to avoid 0, 1, three other dimensions and fixed sizes."""
    low, step = draw(st.integers(0, 40)), draw(st.integers(1, 16))
    count = draw(st.integers(20, 400))
    return Dim(name, Interval(low, low + count * step, step))


@st.composite
def wide(draw: st.DrawFn) -> Signature:
    fixed = draw(st.lists(st.integers(0, 70), max_size=4))
    dims = tuple(draw(wide_dims(name)) for name in DIMS)
    return Signature((TensorSpec("x", "float32", (*DIMS, *fixed)),), dims)


@UNTIMED
@given(wide())
def test_example_sizes_differ_from_each_other_and_from_fixed_sizes(signature: Signature) -> None:
    sizes = list(example_sizes(signature).values())
    fixed = [n for n in signature.inputs[0].shape if isinstance(n, int)]
    assert len({*sizes, *fixed}) == len(sizes) + len(set(fixed))


@UNTIMED
@given(wide())
def test_no_example_size_is_0_or_1(signature: Signature) -> None:
    assert min(example_sizes(signature).values()) > 1


@UNTIMED
@given(wide(), st.sets(st.integers(2, 10)))
def test_example_sizes_avoid_what_they_are_told_to(signature: Signature, avoid: set[int]) -> None:
    assert not avoid & set(example_sizes(signature, avoid).values())


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("x: float32[n, 5]; where n = 1..64", {"n": 7}),
        ("x: float32[n, m]; where n = 1..64, m = 3..6", {"n": 7, "m": 5}),
        ("x: float32[n]; where n = 8..512 step 8", {"n": 16}),
        ("x: float32[n]; where n = {1, 3, 4}", {"n": 3}),
        ("x: float32[n]; where n = 1", {"n": 1}),
        ("x: float32[n, m]; where n = 3, m = 3", {"n": 3, "m": 3}),
        ("x: float32[n]; where n = 1..4 step 8", {"n": 1}),
    ],
)
def test_narrow_ranges_get_the_nearest_to_it_that_is_legal(
    text: str, sizes: dict[str, int]
) -> None:
    assert example_sizes(Signature.parse(text)) == sizes


@st.composite
def dims(draw: st.DrawFn, name: str) -> Dim:
    low, step = draw(st.integers(0, 4)), draw(st.none() | st.integers(1, 5))
    some = draw(st.lists(st.integers(0, 6), min_size=1))
    interval = Interval(low, low + draw(st.integers(0, 6)), step)
    return Dim(name, draw(st.sampled_from([interval, Choices(tuple(some))])))


@st.composite
def tensors(draw: st.DrawFn, name: str) -> TensorSpec:
    """Any dtype, with values that it can hold: a range, in steps or not, or a set."""
    dtype = draw(st.sampled_from(list(DTYPES)))
    kind = DTYPES[dtype].kind
    least, most = {"f": (-100, 100), "i": (-128, 127), "u": (0, 255), "b": (0, 1)}[kind]
    number = st.integers(least, most)
    if kind == "f":
        number |= st.floats(least, most, width=16)
    low, high = sorted((draw(number), draw(number)))
    whole = st.integers(1, 16)
    step = draw(st.none() | (whole | st.sampled_from([0.1, 0.25]) if kind == "f" else whole))
    some = draw(st.lists(number, min_size=1, max_size=4))
    values = draw(st.sampled_from([None, Interval(low, high, step), Choices(tuple(some))]))
    shape = draw(st.lists(st.sampled_from([*DIMS, 1, 3]), max_size=3))
    return TensorSpec(name, dtype, tuple(shape), values)


@st.composite
def bounded(draw: st.DrawFn) -> Signature:
    inputs = (draw(tensors("x")), draw(tensors("y")))
    used = dict.fromkeys(n for s in inputs for n in s.shape if isinstance(n, str))
    return Signature(inputs, tuple(draw(dims(name)) for name in used))


@pytest.mark.parametrize("fill", FILLS)
@UNTIMED
@given(signature=bounded(), seed=SEEDS)
def test_every_fill_fits_its_signature(fill: str, signature: Signature, seed: int) -> None:
    sizes = example_sizes(signature)
    made = feeds(signature, sizes, fill, np.random.default_rng(seed))
    assert signature.validate(made) == sizes


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(
    "text",
    [
        "float32[9] in -inf..0",
        "float32[9] in 0..inf",
        "int64[9] in 0..inf",
        "uint64[9] in 0..18446744073709551615",
        "float64[9] in -1e308..1e308",
        "float32[9] in -1..1 step 0.1",
        "float32[9] in -10..-1 step 4",
        "float16[9] in 0..1000 step 0.1",
        "int8[9] in -1000..1000",
        "bool[9] in 0..1",
    ],
)
def test_values_fit_however_wide_or_odd_their_range(text: str, fill: str) -> None:
    signature = Signature.parse(f"x: {text}")
    signature.validate(feeds(signature, {}, fill, np.random.default_rng(0)))


@pytest.mark.parametrize("fill", FILLS)
def test_the_same_rng_gives_the_same_feeds(fill: str) -> None:
    sizes = example_sizes(SIGNATURE)
    one, other = (feeds(SIGNATURE, sizes, fill, np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_feeds_have_the_dtypes_and_the_sizes_asked_for() -> None:
    sizes = {"batch": 2, "h": 32, "w": 224}
    made = feeds(SIGNATURE, sizes, "uniform", np.random.default_rng(0))
    assert {name: (str(a.dtype), a.shape) for name, a in made.items()} == {
        "pixels": ("float32", (2, 3, 32, 224)),
        "noise": ("float32", (2, 5)),
        "mask": ("bool", (2,)),
    }


@pytest.mark.parametrize(
    ("text", "fill", "values"),
    [
        ("int64[99] in -2..2", "uniform", {-2, -1, 0, 1, 2}),
        ("int64[99] in -2..2", "ends", {-2, 2}),
        ("int64[99] in -2..2", "low", {-2}),
        ("int64[99] in -2..2", "high", {2}),
        ("int64[99] in -2..2", "zeros", {0}),
        ("int64[99] in 3..9", "zeros", {3}),
        ("int64[99] in -9..-3", "zeros", {-3}),
        ("int64[99] in -7..8 step 5", "zeros", {-2}),
        ("int64[99] in -7..8 step 5", "uniform", {-7, -2, 3, 8}),
        ("int64[99] in {5, -4}", "zeros", {-4}),
        ("bool[99]", "uniform", {False, True}),
        ("bool[99] in 0..1", "uniform", {False, True}),
        ("uint8[9999]", "uniform", set(range(256))),
    ],
)
def test_a_fill_reaches_the_values_it_is_named_after(
    text: str, fill: str, values: set[int]
) -> None:
    signature = Signature.parse(f"x: {text}")
    made = feeds(signature, {}, fill, np.random.default_rng(0))["x"]
    assert set(made.tolist()) == values


def test_large_is_a_hundred_times_the_usual_scale() -> None:
    one, hundred = (
        feeds(SIGNATURE, {"batch": 64, "h": 32, "w": 224}, fill, np.random.default_rng(0))["noise"]
        for fill in ("uniform", "large")
    )
    np.testing.assert_allclose(hundred, 100 * one, rtol=1e-6)


TREES = Signature.parse("tree: int64[batch, nodes] in data; where batch = 1..8, nodes = 1..8")


def test_nothing_is_drawn_where_values_come_from_data() -> None:
    with pytest.raises(InputError, match="the values of 'tree' come from data only"):
        draw(TREES.inputs[0], (2, 3), "uniform", np.random.default_rng(0))


def test_a_sample_is_drawn_where_ranges_say_what_fits() -> None:
    sizes, made = sample(SIGNATURE)
    assert SIGNATURE.validate(made) == sizes == example_sizes(SIGNATURE)


def test_a_sample_is_the_given_one_whose_sizes_are_easiest_to_tell_apart() -> None:
    given = [{"tree": np.zeros(shape, np.int64)} for shape in ((1, 3), (4, 4), (2, 3), (5, 1))]
    sizes, made = sample(TREES, given)
    assert sizes == {"batch": 2, "nodes": 3}
    assert made is given[2]


def test_says_what_to_pass_where_examples_are_needed_and_missing() -> None:
    with pytest.raises(InputError, match="come from data only, and none is given") as caught:
        sample(TREES)
    assert "examples" in caught.value.hint


def test_rows_of_a_mask_are_padded_in_every_way() -> None:
    spec = TensorSpec("mask", "int64", ("batch", "tokens"), Choices((0, 1)))
    rows = draw(spec, (5, 7), "padding", np.random.default_rng(0))
    sums = sorted(rows.sum(-1))
    assert (sums[0], sums[1], sums[-1]) == (0, 1, 7)
    assert any(row[-1] and not row[0] for row in rows)  # on the left
    assert all((np.diff(row) != 0).sum() <= 1 for row in rows)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_denormals_are_below_the_smallest_normal_number(dtype: str) -> None:
    spec = TensorSpec("x", dtype, ("n",))
    found = draw(spec, (1000,), "denormal", np.random.default_rng(0)).astype(np.float64)
    assert 0 < np.abs(found).max() <= smallest_normal(dtype)
    assert found.min() < 0 < found.max()
    assert not flushed({"x": found.astype(numpy_dtype(dtype))})["x"][np.abs(found) < 1e-320].any()


@UNTIMED
@given(st.sampled_from(["infinite", "nan"]), st.integers(1, 5), st.integers(1, 5), SEEDS)
def test_special_numbers_leave_whole_rows_alone(fill: str, n: int, m: int, seed: int) -> None:
    found = draw(TensorSpec("x", "float32", ("n", "m")), (n, m), fill, np.random.default_rng(seed))
    odd = ~np.isfinite(found)
    assert odd.any()
    assert n == 1 or not odd.all(-1).all() or not odd.any(-1).all()


@pytest.mark.parametrize(("fill", "count"), [("equal", 1), ("ties", 2)])
def test_equal_is_one_number_and_ties_are_two(fill: str, count: int) -> None:
    spec = TensorSpec("ids", "int64", ("n",), Interval(0, 30000))
    assert len(set(draw(spec, (64,), fill, np.random.default_rng(0)).tolist())) == count
