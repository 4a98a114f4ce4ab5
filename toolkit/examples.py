"""Arrays that fit a signature: example sizes and values. Pure, and deterministic from the rng.

The cases of the parity check, the example inputs of an export and random calibration data are all
drawn here, or chosen among the given examples where a signature says that its values come from
data only. Which of them to draw, and in which order, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import numpy as np

from toolkit.domain import Choices, FromData, Interval, as_array, representable
from toolkit.dtypes import DTYPES, epsilon, numpy_dtype, smallest_normal
from toolkit.errors import InputError
from toolkit.signature import Dim, Signature, TensorSpec

Feeds = Mapping[str, np.ndarray]
"""One array for every input, by name."""

FILLS = ("uniform", "zeros", "low", "high", "ends", "large", "padding", "equal", "ties")
"""uniform: anywhere in the range, normal where it is open. zeros: 0, or the legal value nearest to
it. low, high: that end everywhere. ends: one end or the other, at random. large: 100 times the
usual scale, for what has no declared range. padding: rows of masks padded on the right, on the
left, altogether, to one token and not at all. equal: one number everywhere, one token repeated.
ties: two numbers, at random. What is a mask is uniform in the last two."""

SPECIAL = ("negative-zero", "denormal", "infinite", "nan")
"""Floats that programs treat by the way: -0.0 everywhere; numbers below the smallest normal one;
infinities, or NaN, at a few places of every second row. Where the range allows them."""

_PRIMES = frozenset(n for n in range(2, 1000) if all(n % k for k in range(2, int(n**0.5) + 1)))


def example_sizes(signature: Signature, avoid: Iterable[int] = ()) -> dict[str, int]:
    """A size for each dimension, none of them 0 or 1, none equal to another or to a fixed size.

    What shares a size in the example may be taken for the same dimension by an exporter, and 0 and
    1 are specialised on. Where the ranges are too narrow for that, the nearest to it.
    """
    taken = {n for spec in signature.inputs for n in spec.shape if isinstance(n, int)}
    taken |= {0, 1, *avoid}
    sizes: dict[str, int] = {}
    for dim in sorted(signature.dims, key=lambda d: len(d.legal)):
        sizes[dim.name] = _untaken(dim, taken)
        taken.add(sizes[dim.name])
    return {dim.name: sizes[dim.name] for dim in signature.dims}


def _untaken(dim: Dim, taken: set[int]) -> int:
    free = [n for n in dim.legal[:256] if n not in taken]
    if dim.step > 1:  # of 32, 64, 96 an exporter sees 1, 2, 3, and 1 is special there too
        free = [n for n in free if n // dim.step > 1] or free
    # Primes from 5 up: not a number of directions, heads or channels that a model may hold inside.
    return min(free, key=lambda n: (n not in _PRIMES or n < 5, n), default=dim.legal[-1])


def sample(
    signature: Signature,
    given: Sequence[Feeds] = (),
    *,
    avoid: Iterable[int] = (),
    seed: int = 0,
) -> tuple[dict[str, int], Feeds]:
    """One feed and its sizes: drawn at `example_sizes`, or one of `given` where values come from
    data only. Raises InputError where there is then none."""
    if not signature.from_data:
        sizes = example_sizes(signature, avoid)
        return sizes, feeds(signature, sizes, "uniform", np.random.default_rng(seed))
    require_given(signature, given)
    sized = [(signature.validate(feed), feed) for feed in given]
    unwanted = {0, 1, *avoid}

    def awkwardness(found: tuple[dict[str, int], Feeds]) -> int:
        """How many sizes an exporter would take for a constant or for another dimension."""
        sizes = [n for name, n in found[0].items() if len(signature.dim(name).legal) > 1]
        return sum(n in unwanted for n in sizes) + len(sizes) - len(set(sizes))

    return min(sized, key=awkwardness)


def require_given(signature: Signature, given: Sequence[Feeds]) -> None:
    """Raises InputError where values come from data only and there are no examples."""
    if signature.from_data and not given:
        raise InputError(
            f"the values of '{signature.from_data[0]}' come from data only, and none is given",
            "pass examples or data: toolkit.export(..., examples=[...]), --data FILE.npz",
        )


def feeds(
    signature: Signature, sizes: Mapping[str, int], fill: str, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """One array for each input, of the given sizes."""
    return {s.name: draw(s, s.shape_for(sizes), fill, rng) for s in signature.inputs}


def draw(
    spec: TensorSpec, shape: tuple[int, ...], fill: str, rng: np.random.Generator
) -> np.ndarray:
    """An array of that shape with values that the spec allows, chosen by `fill` (see FILLS,
    SPECIAL); uniform where the fill is nothing to this tensor.

    Raises InputError where no range says which are.
    """
    if isinstance(spec.values, FromData):
        raise InputError(
            f"the values of '{spec.name}' come from data only: none can be drawn",
            "pass examples, or declare a range",
        )
    values = representable(spec.values, spec.dtype)
    whole = {"f": None, "u": np.uint64}.get(DTYPES[spec.dtype].kind, np.int64)
    if fill == "padding" and is_mask(spec):
        drawn = _padding(shape, rng)
    elif fill in SPECIAL and offers(spec, fill):
        drawn = _special(values, shape, fill, rng, spec.dtype)
    elif fill in ("equal", "ties") and not is_mask(spec):
        few = _filled(values, (1 if fill == "equal" else 2,), "uniform", rng, whole)
        drawn = few[rng.integers(0, len(few), shape)]
    else:
        drawn = _filled(values, shape, fill, rng, whole)
    return np.asarray(drawn).astype(numpy_dtype(spec.dtype))


def is_mask(spec: TensorSpec) -> bool:
    """Whole numbers of which 0 and 1 are allowed, or booleans, in at least one axis."""
    if spec.is_float or not spec.shape or isinstance(spec.values, FromData):
        return False
    values = representable(spec.values, spec.dtype)
    return (values.low, values.high) == (0, 1)


def offers(spec: TensorSpec, fill: str) -> bool:
    """Does the range of a tensor hold the numbers of a SPECIAL fill?"""
    if not spec.is_float or isinstance(spec.values, FromData):
        return False
    values = representable(spec.values, spec.dtype)
    if fill == "nan":
        return spec.values is None
    if fill == "infinite":
        return not (isfinite(values.low) and isfinite(values.high))
    if fill == "denormal":
        span = smallest_normal(spec.dtype)
        stepped = isinstance(values, Choices) or values.step is not None
        return not stepped and values.low <= 0 <= values.high and values.high - values.low > span
    return 0 in values


def flushed(feeds: Feeds) -> dict[str, np.ndarray]:
    """The feeds with 0.0 for -0.0 and for denormals: what hardware that has neither computes on."""
    return {name: _flushed(array) for name, array in feeds.items()}


def _flushed(array: np.ndarray) -> np.ndarray:
    if DTYPES[str(array.dtype)].kind != "f":
        return array
    tiny = np.abs(array.astype(np.float64)) < smallest_normal(str(array.dtype))
    return np.where(tiny, np.zeros((), array.dtype), array)


def _filled(
    values: Interval | Choices,
    shape: tuple[int, ...],
    fill: str,
    rng: np.random.Generator,
    whole: type[np.integer] | None,
) -> np.ndarray:
    low, high = values.low, values.high
    open_ended = not (isfinite(low) and isfinite(high))
    if fill == "zeros":
        return np.full(shape, _nearest_to_zero(values))
    if fill in ("low", "high") and not open_ended:
        return np.full(shape, low if fill == "low" else high)
    if fill == "ends" and not open_ended:
        return np.where(rng.integers(0, 2, shape), np.array(high, whole), np.array(low, whole))
    if isinstance(values, Choices):
        return rng.choice(as_array(values.values, np.dtype(whole or np.float64)), shape)
    if open_ended:
        return _unbounded(values, shape, 100.0 if fill in ("large", "high", "low") else 1.0, rng)
    if values.step is not None:
        steps = rng.integers(0, round((high - low) / values.step), shape, endpoint=True)
        return low + steps * values.step
    if whole is not None:
        return rng.integers(int(low), int(high), shape, whole, endpoint=True)
    share = rng.random(shape)
    return np.clip(low * (1 - share) + high * share, low, high)  # high - low may overflow


def _padding(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Rows along the last axis, the kinds of padding in turn: see FILLS."""
    length = shape[-1]
    rows = int(np.prod(shape[:-1]))
    kept, full = rng.integers(1, max(length, 2), rows), np.full(rows, length)
    none, one = np.zeros(rows, int), np.ones(rows, int)
    ends = np.array([[none, none], [none, one], [none, kept], [full - kept, full], [none, full]])
    kinds = (rng.integers(0, len(ends)) + np.arange(rows)) % len(ends)
    start, end = (ends[kinds, side, np.arange(rows)][:, None] for side in (0, 1))
    at = np.arange(length)
    masks: np.ndarray = (start <= at) & (at < end)
    return masks.reshape(shape)


def _special(
    values: Interval | Choices,
    shape: tuple[int, ...],
    fill: str,
    rng: np.random.Generator,
    dtype: str,
) -> np.ndarray:
    signs = np.where(rng.integers(0, 2, shape) & (values.low < 0), -1.0, 1.0)
    if values.high <= 0:
        signs = -np.ones(shape)
    if fill == "negative-zero":
        return np.full(shape, -0.0)
    if fill == "denormal":  # over all their scales: from the smallest to half of what is normal
        span = np.log2(smallest_normal(dtype)) - rng.random(shape) * -np.log2(epsilon(dtype))
        return np.asarray(signs * 2.0**span)
    usual = _filled(values, shape, "uniform", rng, None)
    if not usual.size:
        return usual
    here = rng.random(shape) < 1 / 8
    here.flat[rng.integers(0, usual.size)] = True
    if len(shape) > 1 and shape[0] > 1:
        here[rng.integers(0, 2) :: 2] = False  # every second row has none and must not change
        if not here.any():
            here.flat[0] = True
    if fill == "nan":
        return np.where(here, np.nan, usual)
    ends = [end for end in (values.low, values.high) if not isfinite(end)]
    return np.where(here, np.array(ends)[rng.integers(0, len(ends), shape)], usual)


def _unbounded(
    values: Interval, shape: tuple[int, ...], scale: float, rng: np.random.Generator
) -> np.ndarray:
    noise = scale * rng.standard_normal(shape)
    if isfinite(values.low):
        above = np.abs(noise)
        if values.step is not None:
            above = np.round(above / values.step) * values.step
        return values.low + above
    if isfinite(values.high):
        return values.high - np.abs(noise)
    return noise


def _nearest_to_zero(values: Interval | Choices) -> float:
    if isinstance(values, Choices):
        return min(values.values, key=abs)
    nearest = min(max(0, values.low), values.high)
    if values.step is None:
        return nearest
    below = (nearest - values.low) // values.step
    around = (values.low + n * values.step for n in (below, below + 1))
    return min((n for n in around if n <= values.high), key=abs)
