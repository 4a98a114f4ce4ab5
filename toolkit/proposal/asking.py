"""Which sizes and values something accepts, found out by asking: what a signature is proposed from.

Pure: `accepts` says yes or no, and is asked as few times as a bisection takes. Between two sizes
that are accepted, those between are taken to be, but for a few that are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from toolkit.domain import Choices, Interval

USUAL = 64
"""A dimension without an end is proposed up to this size, or twice the example's if that is more.
The parity check covers 64 sizes completely."""

FAR = (128, 256, 512, 1024)
"""Sizes beyond, asked for the sake of a table of positions that ends there."""

Axis = TypeVar("Axis", bound=Hashable)
Accepts = Callable[[int], bool]


def probes(at: int) -> tuple[int, ...]:
    """Other sizes that tell whether `at` may vary: its neighbours, its multiples, its halves."""
    tried = (at + 1, at - 1, 2 * at, 3 * at, at // 2, at + 2, at + 3, at + 8)
    return tuple(n for n in dict.fromkeys(tried) if n > 1 and n != at)


def accepted_sizes(
    accepts: Accepts,
    shown: Sequence[int],
    *,
    cheap: Callable[[], bool] = lambda: True,
) -> Interval | Choices | None:
    """The widest range around the sizes that were shown; None where no other is accepted.

    The first of them is the one to start from.

    `cheap` says after each answer beyond the usual sizes whether one of twice that may be asked.
    """
    at = shown[0]
    steps = list(_steps(accepts, at))
    if not steps:
        return Choices(tuple(sorted(set(shown)))) if len(set(shown)) > 1 else None
    low, high, step = at, at, 1
    for one in steps:
        ends = _around(accepts, at, one, cheap)
        if ends[1] - ends[0] > high - low:
            low, high, step = *ends, one
        if high - low >= at // 2:  # of 31, 32, 35, 36, ... better the multiples of 4
            break
    if any((at - n) % step for n in shown):
        step = 1
    low, high = min(low, *shown), max(high, *shown)
    return Interval(low, high, step if step > 1 else None) if low < high else None


def _steps(accepts: Accepts, at: int) -> Iterator[int]:
    """How far apart accepted sizes may lie, the closest first; none where no other is accepted."""
    if (at > 1 and accepts(at - 1)) or accepts(at + 1):
        yield 1
    found = next((n for n in probes(at)[::-1] if abs(n - at) > 1 and accepts(n)), None)
    if found is not None:
        apart = abs(found - at)
        divisors = (d for d in range(2, apart) if apart % d == 0)
        yield from (d for d in divisors if accepts(at + d) and accepts(at + 2 * d))
        yield apart


def _around(accepts: Accepts, at: int, step: int, cheap: Callable[[], bool]) -> tuple[int, int]:
    """The ends of the range in steps from `at`, a few sizes in between asked as well."""
    down = _furthest(lambda k: accepts(at - k * step), (at - 1) // step)
    up = _highest(accepts, at, step, cheap)
    low, high = at - down * step, at + up * step
    for n in _between(low, high, step):
        if low < n < high and n != at and not accepts(n):
            if n < at:
                low = at - step * _furthest(lambda k: accepts(at - k * step), (at - n) // step - 1)
            else:
                high = at + step * _furthest(lambda k: accepts(at + k * step), (n - at) // step - 1)
    return low, high


def _highest(accepts: Accepts, at: int, step: int, cheap: Callable[[], bool]) -> int:
    """Steps up to the usual end, or to a real one: beyond a size that is not accepted."""
    usual = max(USUAL, 2 * at) // step * step
    most = max((usual - at) // step, 0)
    up = _furthest(lambda k: accepts(at + k * step), most)
    if up < most:
        return up
    for far in FAR:
        steps = (far - at) // step
        if steps <= most:
            continue
        if not cheap():
            break
        if not accepts(at + steps * step):
            return _furthest(lambda k: accepts(at + k * step), steps)
    return most


def _furthest(accepts: Accepts, most: int) -> int:
    """The highest of 0..most that is accepted, 0 being known to be, all below it taken to be."""
    if most < 1 or accepts(most):
        return max(most, 0)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(middle) else (low, middle)
    return low


def _between(low: int, high: int, step: int) -> Iterator[int]:
    """A few sizes in between: near the ends, and where branches are likely."""
    steps = (high - low) // step
    wanted = {1, 2, 3, 4, 6, 7, 10, steps // 3, steps // 2, 2 * steps // 3, steps - 1}
    return (low + k * step for k in sorted(wanted) if 0 < k < steps)


def sets_that_move(
    axes: Sequence[Axis], moves: Callable[[Sequence[Axis]], bool], alike: Sequence[object]
) -> tuple[list[list[Axis]], list[Axis]]:
    """Axes of one size, as sets that can only be resized together; and those that cannot be.

    `alike` tells for each axis what is likely to move together (its number in its tensor).
    """
    if not axes:
        return [], []
    if moves(axes):
        return [list(axes)], []
    if len(axes) == 1:
        return [], list(axes)
    for subset in _subsets(axes, alike):
        if moves(subset):
            rest = [a for a in axes if a not in subset]
            kinds = [k for a, k in zip(axes, alike, strict=True) if a not in subset]
            more, fixed = sets_that_move(rest, moves, kinds)
            return [list(subset), *more], fixed
    return [], list(axes)


def sets_apart(
    axes: Sequence[Axis],
    apart: Callable[[Sequence[Axis], Sequence[Axis]], bool],
    alike: Sequence[object],
) -> list[list[Axis]]:
    """Axes that move together, split into sets that may have sizes of their own."""
    kinds = dict(zip(axes, alike, strict=True))
    for subset in _subsets(axes, alike):
        rest = [a for a in axes if a not in subset]
        if rest and apart(subset, rest):
            return [
                part
                for some in (subset, rest)
                for part in sets_apart(some, apart, [kinds[a] for a in some])
            ]
    return [list(axes)]


def _subsets(axes: Sequence[Axis], alike: Sequence[object]) -> Iterator[list[Axis]]:
    """First those that are alike, then one by one, then all but one."""
    if len(axes) < 2:
        return
    kinds = dict.fromkeys(alike)
    if len(kinds) > 1:
        for kind in kinds:
            yield [a for a, k in zip(axes, alike, strict=True) if k == kind]
    yield from ([a] for a in axes)
    if len(axes) > 2:
        yield from ([a for a in axes if a != one] for one in axes)


def accepted_whole(accepts: Accepts, low: int, high: int, most: int) -> tuple[int, int]:
    """How far integers reach beyond those shown, where there is an end: a vocabulary, a table.

    Where `most` is accepted as well there is none, and the numbers shown are what is known.
    """
    if low > 0 and accepts(0):
        low = 0
    if accepts(most):
        return low, high
    return low, high + _furthest(lambda k: accepts(high + k), most - high)


def common_range(
    low: Sequence[int], high: Sequence[int], accepts: Callable[[Sequence[int]], bool]
) -> list[int]:
    """As far from `low` to `high` as all dimensions can go at once, then each for itself.

    Each may go that far alone; together they may be too much (prompt and past share a table).
    """
    if accepts(high):
        return list(high)

    def part(share: int) -> list[int]:
        return [a + (b - a) * share // 64 for a, b in zip(low, high, strict=True)]

    found = part(_furthest(lambda share: accepts(part(share)), 64))
    for n, end in enumerate(high):
        whole = [*found[:n], end, *found[n + 1 :]]
        if accepts(whole):
            found = whole
    return found


def dim_names(sets: Sequence[Sequence[tuple[str, int]]], inputs: Iterable[str]) -> list[str]:
    """`batch` for what leads every input, `input_axis` for the rest."""
    everyone = set(inputs)
    names = []
    for axes in sets:
        leading = {name for name, axis in axes if axis == 0}
        shared = everyone and leading == everyone and "batch" not in names
        first, axis = axes[0]
        names.append("batch" if shared else f"{first.replace('.', '_')}_{axis}")
    return names
