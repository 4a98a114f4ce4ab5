"""Arrays that fit a signature: example sizes and values. Pure, and deterministic from the rng.

The cases of the parity check, the example inputs of an export and random calibration data are all
drawn here. Which of them to draw, and in which order, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, isfinite

import numpy as np

from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.signature import Choices, Dim, Domain, Interval, Signature, TensorSpec

FILLS = ("uniform", "zeros", "low", "high", "ends", "large")
"""uniform: anywhere in the range, normal where it is open. zeros: 0, or the legal value nearest to
it. low, high: that end everywhere. ends: one end or the other, at random. large: 100 times the
usual scale, for what has no declared range."""

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
    return min(free, key=lambda n: (n not in _PRIMES or n < 5, n), default=dim.high)


def feeds(
    signature: Signature, sizes: Mapping[str, int], fill: str, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """One array for each input, of the given sizes."""
    return {s.name: draw(s, s.shape_for(sizes), fill, rng) for s in signature.inputs}


def draw(
    spec: TensorSpec, shape: tuple[int, ...], fill: str, rng: np.random.Generator
) -> np.ndarray:
    """An array of that shape with values that the spec allows, chosen by `fill` (see FILLS)."""
    values = spec.values or _everything(spec.dtype)
    whole = {"i": np.int64, "u": np.uint64}.get(DTYPES[spec.dtype].kind)
    drawn = _filled(values, shape, fill, rng, whole)
    return np.asarray(drawn).astype(numpy_dtype(spec.dtype))


def _everything(dtype: str) -> Domain:
    kind = DTYPES[dtype].kind
    if kind == "f":
        return Interval(-inf, inf)
    if kind == "b":
        return Choices((0, 1))
    info = np.iinfo(dtype)
    return Interval(int(info.min), int(info.max))


def _filled(
    values: Domain,
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
        return np.where(rng.integers(0, 2, shape), high, low)
    if isinstance(values, Choices):
        return rng.choice(np.array(values.values), shape)
    if open_ended:
        return _unbounded(values, shape, 100.0 if fill in ("large", "high", "low") else 1.0, rng)
    if values.step is not None:
        steps = int((high - low) / values.step + 1e-9)
        return low + values.step * rng.integers(0, steps, shape, endpoint=True)
    if whole is not None:
        return rng.integers(int(low), int(high), shape, whole, endpoint=True)
    return rng.uniform(low, high, shape)


def _unbounded(
    values: Interval, shape: tuple[int, ...], scale: float, rng: np.random.Generator
) -> np.ndarray:
    noise = scale * rng.standard_normal(shape)
    if isfinite(values.low):
        return values.low + np.abs(noise)
    if isfinite(values.high):
        return values.high - np.abs(noise)
    return noise


def _nearest_to_zero(values: Domain) -> float:
    if isinstance(values, Choices):
        return min(values.values, key=abs)
    nearest = min(max(0, values.low), values.high)
    if values.step is None or nearest in values:
        return nearest
    below = values.low + (nearest - values.low) // values.step * values.step
    return min((n for n in (below, below + values.step) if n in values), key=abs)
