"""Inputs that the precision of a model can hardly tell from one: where its own error is seen. Pure.

Everywhere `floats` are the names of the floating inputs that have numbers, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from toolkit.dtypes import epsilon
from toolkit.examples import Feeds

_FAR = 256.0
"""Ulps within which equal numbers are moved apart."""


def neighbours(
    feeds: Feeds,
    floats: Sequence[str],
    rng: np.random.Generator,
    draws: int,
    *,
    ulps: float,
    drift: float = 0.0,
) -> Iterator[Feeds]:
    """All inputs moved, now and then one: a target that is compared with 1 is to stay.

    Before them, with a `drift`, all numbers moved by it together, away from zero and towards it.
    """
    for steps in (drift, -drift) if drift else ():
        yield {n: _scaled(a, steps) if n in floats else a for n, a in feeds.items()}
    for draw in range(draws):
        alone = draw > 1 and draw % 2 and floats
        names = {floats[(draw // 2 - 1) % len(floats)]} if alone else {*floats}
        yield {n: _nudged(a, ulps, rng) if n in names else a for n, a in feeds.items()}


def neighbour(feeds: Feeds, floats: Sequence[str], *seed: int, ulps: float = 1.0) -> Feeds:
    """One of them, all of whose floating inputs are moved."""
    return next(neighbours(feeds, floats, np.random.default_rng(seed), 1, ulps=ulps))


def around(feeds: Feeds, floats: Sequence[str], seed: int, draws: int) -> Iterator[Feeds]:
    """Inputs at 2, 4, 8, ... ulps: of one number there are two neighbours, and PyTorch's error at
    three places is luck."""
    return (neighbour(feeds, floats, seed, far, ulps=2.0**far) for far in range(1, draws + 1))


def untied(feeds: Feeds, floats: Sequence[str], seed: int, draws: int) -> Iterator[Feeds]:
    """Those in which no two numbers are equal that are it by chance: each is moved by a part of
    its own of 256 ulps, and 0 stays 0."""
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        yield {n: _parted(a, _FAR, rng) if n in floats else a for n, a in feeds.items()}


def _nudged(array: np.ndarray, ulps: float, rng: np.random.Generator) -> np.ndarray:
    """Each number `ulps` up or down; for zeros, ulps of the array's root mean square."""
    wide = array.astype(np.float64, copy=False)
    finite = wide[np.isfinite(wide)]
    usual = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    size = np.where(np.isfinite(wide), np.abs(wide), 0.0)  # infinity moved by an ulp is no NaN
    step = np.where(wide == 0.0, usual or 1.0, size) * ulps * epsilon(str(array.dtype))
    signs = rng.integers(0, 2, array.shape) * 2 - 1
    return np.asarray(wide + signs * step).astype(array.dtype)


def _parted(array: np.ndarray, ulps: float, rng: np.random.Generator) -> np.ndarray:
    """Each number but 0 moved by another part of so many ulps, up or down."""
    far = ulps * epsilon(str(array.dtype))
    moved = array.astype(np.float64) * (1.0 + far * rng.uniform(-1.0, 1.0, array.shape))
    return moved.astype(array.dtype)


def _scaled(array: np.ndarray, ulps: float) -> np.ndarray:
    """All numbers `ulps` away from zero, or towards it; where all are zero, ulps of 1."""
    wide, far = array.astype(np.float64, copy=False), ulps * epsilon(str(array.dtype))
    return np.asarray(wide * (1.0 + far) if wide.any() else wide + far).astype(array.dtype)
