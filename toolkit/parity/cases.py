"""Which inputs a check runs, most telling first. Pure: the same signature and seed, the same cases.

A case is sizes, a fill and a seed, and its text reruns it: `batch=3,tokens=7,fill=zeros,seed=4`.
`fill=given,seed=K` is example number K of those that came with the model, at its own sizes. What
follows sets values: `fill=zeros,seed=0,x[0,2]=1` (`toolkit.parity.edits`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import isfinite, prod

import numpy as np

from toolkit import examples
from toolkit.errors import UsageError
from toolkit.examples import Feeds
from toolkit.parity import edits
from toolkit.parity.edits import Edit
from toolkit.signature import Dim, Signature

Sizes = dict[str, int]

GIVEN = "given"
"""The fill of a case that is one of the given examples."""

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)


@dataclass(frozen=True)
class Case:
    """Inputs of one run: the size of each dimension, how values are filled in, a seed."""

    sizes: tuple[tuple[str, int], ...]
    fill: str
    seed: int
    edits: tuple[Edit, ...] = ()
    """Values that are set on top of the fill."""
    origin: str = ""
    """The file that holds its arrays, which is then its text."""

    def __str__(self) -> str:
        parts = [f"{name}={size}" for name, size in self.sizes]
        parts += [f"fill={self.fill}", f"seed={self.seed}", *map(str, self.edits)]
        return self.origin or ",".join(parts)

    @classmethod
    def parse(cls, text: str, signature: Signature) -> Case:
        """Read the text of a case. Raises UsageError where it does not fit the signature."""
        parts, edited = edits.split(text)
        values = dict(part.partition("=")[::2] for part in parts)
        fill, seed = values.pop("fill", "uniform"), values.pop("seed", "0")
        names = {d.name for d in signature.dims}
        numbers = all(v.isdigit() for v in (*values.values(), seed))
        known = (*examples.FILLS, *examples.SPECIAL, GIVEN)
        if set(values) != names or fill not in known or not numbers:
            shown = ",".join([*(f"{n}=3" for n in sorted(names)), "fill=uniform", "seed=0"])
            raise UsageError(f"'{text}' is not a case of this model", f"write {shown}")
        sizes = {n: int(v) for n, v in values.items()}
        changes = tuple(edits.parse(part, signature, sizes) for part in edited)
        return cls(tuple(sizes.items()), fill, int(seed), changes)

    def volume(self, signature: Signature) -> int:
        """How many numbers its inputs have."""
        sizes = dict(self.sizes)
        return sum(prod(spec.shape_for(sizes)) for spec in signature.inputs)

    def feeds(self, signature: Signature, given: Sequence[Feeds] = ()) -> Feeds:
        """One array an input; the same every time. Raises UsageError where it was not given."""
        if self.fill == GIVEN:
            if self.seed < len(given):
                return edits.applied(given[self.seed], self.edits)
            raise UsageError(
                f"'{self}' is an example, and {len(given)} are given",
                "pass those that the check had: its source's own, or --data",
            )
        rng = np.random.default_rng([self.seed, *(size for _, size in self.sizes)])
        drawn = examples.feeds(signature, dict(self.sizes), self.fill, rng)
        return edits.applied(drawn, self.edits)


def plan(
    signature: Signature,
    *,
    traced: Mapping[str, int] | None = None,
    seed: int = 0,
    limit: int = 128,
    given: Sequence[Feeds] = (),
    boundaries: Mapping[str, Sequence[int]] | None = None,
    special: bool = True,
) -> list[Case]:
    """At most `limit` cases over the whole signature, those that matter most first.

    The given examples come first, and are all there is where values come from data only; else they
    take half of the cases at most. Raises InputError where they do not fit the signature, or are
    needed and missing.

    Then sizes that no exporter saw (`traced`), those on either side of where the model decides by a
    size (`boundaries`), then 1 and each end of each dimension, values at
    their ends and zeros, equal and reversed sizes, primes; then every size of each dimension in
    turn, with random fills. With 64 sizes or fewer a dimension is covered completely. Each
    `special` fill that the ranges allow is one case, after the other fills.
    """
    examples.require_given(signature, given)
    if signature.from_data:
        return _given(signature, given[:limit])
    first = _given(signature, given[: max(1, limit // 2)])
    fills = [*_telling_fills(signature), *(_special_fills(signature) if special else ())]
    sizes = list(_telling_sizes(signature, traced or {}, boundaries or {}))
    return [*first, *_drawn(signature, sizes, fills, seed, limit - len(first))]


def _given(signature: Signature, given: Sequence[Feeds]) -> list[Case]:
    sizes = (signature.validate(feed) for feed in given)
    return [Case(tuple(at.items()), GIVEN, n) for n, at in enumerate(sizes)]


def _drawn(
    signature: Signature, sizes: list[Sizes], fills: list[str], seed: int, limit: int
) -> list[Case]:
    rng = np.random.default_rng(seed)
    wanted = list(_interleaved(sizes, fills))
    usual = [fill for fill in fills if fill not in examples.SPECIAL]
    more = islice(_random(signature, usual, rng), 4 * limit)
    unique = dict.fromkeys((tuple(s.items()), fill) for s, fill in (*wanted, *more))
    if signature.dims:
        chosen = list(unique)[:limit]
    else:  # nothing but values can vary
        again = cycle((at, fill) for at, fill in unique if fill in usual)
        chosen = [*unique, *islice(again, 5 * len(usual))][:limit]
    return [Case(at, fill, seed + n) for n, (at, fill) in enumerate(chosen)]


def _telling_sizes(
    signature: Signature, traced: Mapping[str, int], boundaries: Mapping[str, Sequence[int]]
) -> Iterator[Sizes]:
    dims = signature.dims
    base = examples.example_sizes(signature, avoid=traced.values())
    low = {d.name: d.low for d in dims}
    yield base
    yield low
    for dim in dims:
        yield from ({**base, dim.name: dim.snap(n)} for n in boundaries.get(dim.name, ()))
    for dim in dims:
        yield {**base, dim.name: dim.snap(1)}
        yield {**low, dim.name: dim.legal[-1]}
    names = sorted(base, key=lambda n: base[n])
    ranked = dict(zip(names, reversed([base[n] for n in names]), strict=True))
    yield {d.name: d.snap(ranked[d.name]) for d in dims}
    yield {d.name: d.snap(max(base.values(), default=1)) for d in dims}
    if traced:
        yield {d.name: d.snap(traced.get(d.name, d.low)) for d in dims}
    for shift, _ in enumerate(_PRIMES[:6]):
        yield {d.name: d.snap(_PRIMES[(shift + 2 * i) % 16]) for i, d in enumerate(dims)}
    for dim in dims:
        yield {**base, dim.name: dim.legal[-1]}
    yield {d.name: d.legal[-1] for d in dims}


def _telling_fills(signature: Signature) -> Iterator[str]:
    ranges = [s.values for s in signature.inputs]
    bounded = any(v is not None and isfinite(v.low) and isfinite(v.high) for v in ranges)
    yield "uniform"
    yield "zeros"
    if bounded:
        yield from ("low", "high", "ends")
    if any(v is None or not (isfinite(v.low) and isfinite(v.high)) for v in ranges):
        yield "large"
    if any(map(examples.is_mask, signature.inputs)):
        yield "padding"
    if not all(map(examples.is_mask, signature.inputs)):
        yield from ("equal", "ties")


def _special_fills(signature: Signature) -> Iterator[str]:
    for fill in examples.SPECIAL:
        if any(examples.offers(spec, fill) for spec in signature.inputs):
            yield fill


def _interleaved(sizes: list[Sizes], fills: list[str]) -> Iterator[tuple[Sizes, str]]:
    """Every telling size with values from the range; every other fill at the first size, early."""
    others = iter(fills[1:])
    for index, size in enumerate(sizes):
        yield size, fills[0]
        if index and (fill := next(others, None)):
            yield sizes[0], fill
    yield from ((sizes[0], fill) for fill in others)


def _random(
    signature: Signature, fills: list[str], rng: np.random.Generator
) -> Iterator[tuple[Sizes, str]]:
    walks = {d.name: _walk(d, rng) for d in signature.dims}
    while walks:
        fill = fills[0] if rng.random() < 0.7 else str(rng.choice(fills))
        yield {name: next(walk) for name, walk in walks.items()}, fill


def _walk(dim: Dim, rng: np.random.Generator) -> Iterator[int]:
    """All sizes in random order, again and again; of a long range, sizes spread over its scales."""
    if len(dim.legal) <= 64:
        while True:
            yield from (int(n) for n in rng.permutation(np.array(dim.legal)))
    while True:
        low, high = max(dim.low, 1), dim.legal[-1]
        yield dim.snap(round(low * (high / low) ** rng.random()))
