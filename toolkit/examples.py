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
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError
from toolkit.signature import Dim, Signature, TensorSpec

Feeds = Mapping[str, np.ndarray]
"""One array for every input, by name."""

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
    """An array of that shape with values that the spec allows, chosen by `fill` (see FILLS).

    Raises InputError where no range says which are.
    """
    if isinstance(spec.values, FromData):
        raise InputError(
            f"the values of '{spec.name}' come from data only: none can be drawn",
            "pass examples, or declare a range",
        )
    values = representable(spec.values, spec.dtype)
    whole = {"f": None, "u": np.uint64}.get(DTYPES[spec.dtype].kind, np.int64)
    drawn = _filled(values, shape, fill, rng, whole)
    return np.asarray(drawn).astype(numpy_dtype(spec.dtype))


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
