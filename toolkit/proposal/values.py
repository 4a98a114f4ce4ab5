"""Which values the inputs of a module may hold: the widest domains whose draws behave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, inf, isfinite, log10

import numpy as np

from toolkit import examples, given
from toolkit.domain import Choices, Domain, FromData, Interval
from toolkit.dtypes import DTYPES
from toolkit.examples import Feeds
from toolkit.model import to_tensor
from toolkit.proposal.asking import accepted_whole
from toolkit.proposal.trials import Trials
from toolkit.signature import Dim, Signature, TensorSpec

_BEYOND = 2**20
"""Integers that a model takes up to here have no end that an example could tell."""

_NICE = ((0, inf), (0, 1), (-1, 1))
"""Ranges that are tried before that of the example, where they hold it."""


class Values:
    """The values of every input: the widest domain whose draws behave, one input at a time."""

    def __init__(self, trials: Trials, signature: Signature, feeds: Sequence[Feeds]) -> None:
        self._trials, self._signature, self._feeds = trials, signature, feeds
        self.notes: list[str] = []
        self._left = {s.name: self._candidates(s) for s in signature.inputs}

    def settled(self) -> Signature:
        base = self._signature.validate(self._feeds[0])
        chosen = {s.name: self._next(s, base) for s in self._signature.inputs}
        for sizes in self._sizes(base):
            while wrong := self._misbehaving(chosen, sizes):
                name, why = wrong
                spec = next(s for s in self._signature.inputs if s.name == name)
                self._remark(name, why)
                chosen[name] = self._next(spec, base)
        return self._with(chosen)

    def _with(self, chosen: Mapping[str, Domain | None]) -> Signature:
        inputs = tuple(replace(s, values=chosen[s.name]) for s in self._signature.inputs)
        return replace(self._signature, inputs=inputs)

    def _candidates(self, spec: TensorSpec) -> Iterator[Domain | None]:
        """From wide to narrow; the last is always FromData."""
        seen = np.concatenate([feed[spec.name].ravel() for feed in self._feeds])
        kind = DTYPES[spec.dtype].kind
        if kind == "b" or not seen.size:
            yield None
            if seen.size and seen.min() == seen.max():
                yield Choices((int(seen[0]),))
        elif kind == "f":
            yield None
            if np.isfinite(seen).all():
                low, high = float(seen.min()), float(seen.max())
                yield from (Interval(a, b) for a, b in _NICE if a <= low and high <= b)
                yield Interval(_rounded(low, floor), _rounded(high, ceil))
                yield Interval(low, high)
        else:
            low, high = int(seen.min()), int(seen.max())
            wide = self._whole(spec, low, high)
            if wide != (0, 1):
                yield Interval(*wide)
            yield Choices((0, 1)) if low >= 0 and high <= 1 else Interval(low, high)
            if low == high:  # a mask of ones, where a row of zeros leaves nothing to attend to
                yield Choices((low,))
        while True:
            yield FromData()

    def _whole(self, spec: TensorSpec, low: int, high: int) -> tuple[int, int]:
        example = self._feeds[0][spec.name]
        most = min(_BEYOND, int(np.iinfo(spec.dtype).max))
        somewhere = np.random.default_rng(0).random(example.shape) < 0.5

        def accepts(value: int) -> bool:
            changed = np.where(somewhere, value, example).astype(example.dtype)
            changed.ravel()[-1:] = value
            return not self._problem({**self._feeds[0], spec.name: changed})

        if high >= most:
            return low, high
        low, high = accepted_whole(accepts, low, high, most)
        return (0, 1) if low >= 0 and high <= 1 else (low, high)

    def _next(self, spec: TensorSpec, sizes: Mapping[str, int]) -> Domain | None:
        """The next domain whose draws behave beside the other inputs of the example."""
        for values in self._left[spec.name]:
            one = replace(spec, values=values)
            drawn = (self._drawn(one, sizes, fill) for fill in _fills(values))
            tried = (self._problem({**self._feeds[0], spec.name: array}) for array in drawn)
            if not (why := next(filter(None, tried), "")):
                return values
            self._remark(spec.name, why)
        raise AssertionError("FromData has no fills")

    def _remark(self, name: str, why: str) -> None:
        if not any(note.startswith(f"'{name}' ") for note in self.notes):
            self.notes.append(f"'{name}' does not take every number: {why}")

    def _drawn(self, spec: TensorSpec, sizes: Mapping[str, int], fill: str) -> np.ndarray:
        return examples.draw(spec, spec.shape_for(sizes), fill, np.random.default_rng(0))

    def _sizes(self, base: Mapping[str, int]) -> list[Mapping[str, int]]:
        dims = self._signature.dims
        low, high = ({d.name: end(d) for d in dims} for end in (lambda d: d.low, _top))
        mixed = {d.name: d.snap(n) for d, n in zip(dims, (2, 5, 3, 7, 4) * len(dims), strict=False)}
        return [base, low, high, mixed]

    def _misbehaving(
        self, chosen: Mapping[str, Domain | None], sizes: Mapping[str, int]
    ) -> tuple[str, str] | None:
        """The input whose values make a run fail that works with the example's, and why."""
        signature = self._with(chosen)
        if signature.from_data:
            return None
        for fill in dict.fromkeys(f for s in signature.inputs for f in _fills(s.values)):
            drawn = examples.feeds(signature, sizes, fill, np.random.default_rng(1))
            if not (why := self._problem(drawn)):
                continue
            known, names = self._resized(sizes), [s.name for s in signature.inputs]
            if self._problem(known):  # it is the sizes
                return None
            excused = (n for n in names if not self._problem({**drawn, n: known[n]}))
            return next(excused, names[0]), why
        return None

    def _resized(self, sizes: Mapping[str, int]) -> Feeds:
        wanted = {
            (number, axis): sizes[name]
            for number, spec in enumerate(self._signature.inputs)
            for axis, name in enumerate(spec.shape)
            if isinstance(name, str)
        }
        names = [s.name for s in self._signature.inputs]
        return {
            name: given.array(t)
            for name, t in zip(names, self._trials.resized(wanted), strict=True)
        }

    def _problem(self, feed: Feeds) -> str:
        inputs = self._signature.inputs
        return self._trials.problem([to_tensor(feed[s.name], s.dtype) for s in inputs])


def _rounded(value: float, way: Callable[[float], int]) -> float:
    """To three digits, down or up."""
    if not value:
        return 0.0
    scale = 10.0 ** (2 - floor(log10(abs(value))))
    return way(value * scale) / scale


def _top(dim: Dim) -> int:
    return dim.legal[-1]


def _fills(values: Domain | None) -> tuple[str, ...]:
    """What the parity check fills such values with."""
    if isinstance(values, FromData):
        return ()
    if values is None or not (isfinite(values.low) and isfinite(values.high)):
        return ("uniform", "zeros", "large")
    return ("uniform", "zeros", "low", "high", "ends")
