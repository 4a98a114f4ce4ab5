"""Sets of numbers, which dimensions and tensors take their sizes and values from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite
from typing import TYPE_CHECKING

from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Number = int | float


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`, both included; with `step`, only low, low + step, ..."""

    low: Number
    high: Number
    step: Number | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InputError(
                f"range {self.low}..{self.high} is empty", "write the smaller end first"
            )
        if self.step is not None and not 0 < self.step < inf:
            raise InputError(f"step {self.step} is not positive", "write step 8, say")

    def __contains__(self, value: Number) -> bool:
        if not self.low <= value <= self.high:
            return False
        return self.step is None or (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Choices:
    """Exactly these numbers."""

    values: tuple[Number, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("an empty set accepts nothing", "write {0, 1}, say")

    def __contains__(self, value: Number) -> bool:
        return value in self.values

    @property
    def low(self) -> Number:
        return min(self.values)

    @property
    def high(self) -> Number:
        return max(self.values)


@dataclass(frozen=True)
class FromData:
    """What no range describes: a positive definite matrix, tokens of a grammar. Data shows it.

    Holds any number of the dtype; nothing is drawn from it.
    """

    low = -inf
    high = inf

    def __contains__(self, value: Number) -> bool:
        return True


Domain = Interval | Choices | FromData


def representable(domain: Domain | None, dtype: str) -> Interval | Choices:
    """The part of a domain that a dtype holds: for integers whole numbers within its limits.

    None stands for everything, and so does FromData. The ends of a range with a step are numbers
    that it reaches. Raises InputError where nothing is left.
    """
    low, high = _limits(dtype)
    whole = DTYPES[dtype].kind != "f"
    if domain is None or isinstance(domain, FromData):
        return Interval(low, high)
    if isinstance(domain, Choices):
        kept = (v for v in domain.values if low <= v <= high and not (whole and v % 1))
        if not (found := tuple(int(v) if whole else v for v in kept)):
            raise _empty(domain, dtype)
        return Choices(found)
    first, last = max(domain.low, low), min(domain.high, high)
    step = domain.step if isfinite(domain.low) else None
    if step is not None:
        if whole and (domain.low % 1 or step % 1):
            raise InputError(f"steps of {dtype} are whole numbers", f"not {step:g}")
        first = domain.low + step * _steps(domain.low, first, step, up=True)
        last = domain.low + step * _steps(domain.low, last, step) if isfinite(last) else last
    if whole:
        first, last = ceil(first), floor(last)
    if first > last:
        raise _empty(domain, dtype)
    return Interval(first, last, step)


def admits(domain: Domain, array: np.ndarray, dtype: str) -> np.ndarray:
    """Element by element: is it in the domain, whose numbers are rounded to the array's dtype?"""
    import numpy as np

    if isinstance(domain, FromData):
        return np.ones(array.shape, bool)
    domain = representable(domain, dtype)
    if isinstance(domain, Choices):
        found: np.ndarray = np.isin(array, as_array(domain.values, array.dtype))
        return found
    low, high = (np.array(end).astype(array.dtype) for end in (domain.low, domain.high))
    inside: np.ndarray = (low <= array) & (array <= high)
    if domain.step is None:
        return inside
    if DTYPES[dtype].kind != "f":
        if domain.step > _limits(dtype)[1]:
            inside &= array == low
            return inside
        # By remainders: a difference could overflow.
        inside &= array % int(domain.step) == int(domain.low) % int(domain.step)
        return inside
    wide = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        nearest = domain.low + np.round((wide - domain.low) / domain.step) * domain.step
    # However a step was computed (3 * 0.1, 3 / 10, arange), it is off by a few roundings at most.
    slack = 4 * epsilon(dtype) * np.maximum(np.abs(wide), abs(domain.low))
    inside &= np.abs(nearest - wide) <= slack
    return inside


def as_array(values: Sequence[Number], dtype: np.dtype[np.generic]) -> np.ndarray:
    """One by one: numpy makes float64 of [0, 2**64 - 1]."""
    import numpy as np

    return np.array([np.asarray(v).astype(dtype) for v in values], dtype)


def _limits(dtype: str) -> tuple[Number, Number]:
    import numpy as np

    kind = DTYPES[dtype].kind
    if kind == "f":
        return -inf, inf
    if kind == "b":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _empty(domain: Domain, dtype: str) -> InputError:
    return InputError(f"no {dtype} lies in {domain.low:g}..{domain.high:g}", "correct the range")


def _steps(start: Number, end: Number, step: Number, *, up: bool = False) -> int:
    """How many whole steps lead from `start` to `end`, at most, or (`up`) at least."""
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step) if up else (end - start) // step
    count = (end - start) / step
    return ceil(count - 1e-9) if up else floor(count + 1e-9)
