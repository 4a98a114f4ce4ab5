"""What a candidate is held against: a plain run, a truer one, and neighbours of the input."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import count, islice
from math import inf
from typing import TypeVar

import numpy as np

from toolkit.errors import OnnxportError
from toolkit.examples import Feeds
from toolkit.parity.cases import GIVEN, Case
from toolkit.parity.expectation import Arrays, Expectation, Known, Moved, Noise, is_lost
from toolkit.parity.neighbours import around, neighbour, neighbours, untied
from toolkit.parity.operators import Told
from toolkit.parity.repeating import Repeating
from toolkit.parity.settings import Setting
from toolkit.parity.valid import kept, valid
from toolkit.parity.verdict import spread, unsettled
from toolkit.plugins import Session
from toolkit.signature import Signature
from toolkit.ties import first_of_equals

Moving = Callable[[float, np.random.Generator, int], AbstractContextManager[None]]
"""While it is entered `exact` has other weights, so many ulps away; see `PyTorchSession.moved`."""

DRAWS = 8
"""Neighbours of an input that are tried; 4 gave the same worst ratios (docs/decisions)."""

_SPARSE = 8
"""Numbers of an input that has too few neighbours to tell what PyTorch's own error is there."""

_TIE_DRAWS = 64
"""Neighbours that are asked for the order of equal numbers: one pair in 100 million stays."""

_FEW_DRAWS, _LIGHT = 4, 1 << 20
"""As many of a model that has more numbers than this."""

IN_HASTE = (
    "the budget was over when a near miss was looked into: fewer neighbours of it were tried, which"
    " makes the verdict stricter; a longer --budget tries them all"
)

_Drawn = TypeVar("_Drawn")


class Reference:
    """Two sessions of the original: `plain` in its own precision, `exact` in a higher one.

    `deep` loads the original in float64 where `exact` is not (a file); it is slow and seldom asked.
    Where `exact` does not run (float64 in a module that fixes float32), a note says so, the plain
    run stands in for the truth and its response to one-ulp changes of the input is the yardstick.

    `given` are the examples that came with the original: cases of their own. `moving` moves the
    weights of `exact`, where it can. `draws`: neighbours that are tried, each a run of both.
    """

    def __init__(
        self,
        plain: Session,
        exact: Session | None,
        weights: Callable[[], Arrays] = dict,
        deep: Callable[[], Session] | None = None,
        given: Sequence[Feeds] = (),
        moving: Moving | None = None,
        draws: int = DRAWS,
    ) -> None:
        self.given = tuple(given)
        self.cases: tuple[Case, ...] = ()
        """The only cases there are, where it can be asked about no other."""
        self.known: dict[Case, Known] = {}
        """What it was asked ahead; see `toolkit.parity.ahead`."""
        self.endless: list[str] = []
        """Fills on which it does not come to an end; see `toolkit.parity.ending`."""
        self._moving, self._draws = moving, draws
        self._deep = deep
        self._picks = True
        self.weights = weights
        """The original's weights by name, read when they are asked for."""
        self.settings: Callable[[], Sequence[Setting]] = tuple
        """What its normalizations are told, read when asked for."""
        self.told: Callable[[Arrays], Sequence[Told]] = lambda _: ()
        """What its operators are told while it runs on a feed."""
        self.signature: Signature = plain.signature
        self.notes: list[str] = []
        self.plain, self._exact = plain, exact
        self.repeating = Repeating(plain)

    def expect(self, feeds: Arrays) -> Expectation:
        """Raises InputError where the original itself refuses the feed."""
        return self._repeated(feeds, self.expect_once(feeds))

    def expect_once(self, feeds: Arrays) -> Expectation:
        """Without a word about its noise, which is tried on the first cases. Raises as `expect`."""
        plain = self.kept(self.plain.run(feeds), feeds)
        truth = self._run_exact(feeds)
        return Expectation(plain, plain if truth is None else truth)

    def expected(self, known: Known) -> Expectation:
        """Of the first cases only the truth is taken over: they were asked beside other work, on
        fewer threads than those on which their noise is seen."""
        if self.repeating.done:
            return known.expected
        if not self.has_truth:
            return self.expect(known.feeds)
        plain = self.kept(self.plain.run(known.feeds), known.feeds)
        return self._repeated(known.feeds, replace(known.expected, plain=plain))

    def _repeated(self, feeds: Arrays, once: Expectation) -> Expectation:
        return replace(once, noise=self.repeating.noise(feeds, once.plain, once.truth))

    def kept(self, outputs: Arrays, feeds: Arrays) -> Arrays:
        """Outputs with 0 where the signature says that they mean nothing."""
        return kept(outputs, valid(self.signature, feeds)) if self.signature.valid else outputs

    @property
    def exact(self) -> Session | None:
        """The session of the higher precision, where there is one that runs."""
        return self._exact

    def nudged(self, feeds: Arrays) -> Arrays:
        """A neighbour of the feed: each floating number one ulp away."""
        return neighbour(feeds, self._floats(feeds), 0)

    @property
    def has_truth(self) -> bool:
        return self._exact is not None

    def in_float64(self, feeds: Arrays, expected: Expectation) -> Arrays | None:
        """The truth, where it is one: None for a file whose graph has no float64 evaluation."""
        if self._deep is None:
            return expected.truth
        try:
            return self.kept(self._deep().run(feeds), feeds)
        except OnnxportError:
            return None

    def of_first(self, feeds: Arrays) -> Expectation | None:
        """What is expected where topk takes the first of equal numbers.

        None where it cannot be asked, or does not use topk: then it is asked no more.
        """
        if not self._picks:
            return None
        with suppress(OnnxportError), first_of_equals() as asked:
            expected = self.expect_once(feeds)
            self._picks = bool(asked)
            return expected if asked else None
        return None

    def terms(self, feeds: Arrays) -> int:
        """The most numbers that are added up to one: of an input, or along an axis of a weight."""
        inputs = max(a.size for a in feeds.values())
        if any(s.is_float for s in self.signature.inputs):
            return inputs
        widest = max((n for a in self.weights().values() for n in a.shape), default=0)
        return max(inputs, widest)

    def noise(
        self,
        case: Case,
        feeds: Arrays,
        expected: Expectation,
        *,
        ulps: float = 1.0,
        drift: float = 0.0,
        weights: bool = False,
        end: float = inf,
    ) -> Noise:
        """How far outputs move between inputs that float32 cannot tell apart, and its error there.

        Floating inputs are moved by `ulps`, each number up or down; then, twice, by `drift` ulps
        all of them up and all of them down. A model of integers alone is run on other values of
        the same sizes, whose rounding error is of the same kind, and its weights are moved in place
        of its inputs: what they embed is as good an input. With `weights` they are in any case.

        After `end` (of time.perf_counter) only the first of each kind are tried, those that drift
        and one that does not, as a norm takes out what all numbers have in common: fewer make the
        noise narrower, and so a verdict stricter, never milder.
        """
        moved = Moved(expected)
        errors = dict.fromkeys(expected.plain, 0.0)
        floats, rng = self._floats(feeds), np.random.default_rng(case.seed)
        floating = any(s.is_float for s in self.signature.inputs)
        if floating:
            draws = neighbours(feeds, floats, rng, self._draws, ulps=ulps, drift=drift)
        else:
            draws = self._others(case)
        least = 3 if drift else 1
        for near in self._until(end, draws, least if floating else 1):
            try:
                there = self.expect(near)
            except OnnxportError:  # a neighbour just outside of what the model accepts
                continue
            for name in expected.plain:
                errors[name] = max(errors[name], spread(there.truth[name], [there.plain[name]]))
            if floating:
                moved.add(there.plain)
                moved.add(there.truth)
            del there
        if floating and sum(feeds[s.name].size for s in self.signature.inputs) <= _SPARSE:
            for near in self._until(end, around(feeds, floats, case.seed, self._draws), 0):
                with suppress(OnnxportError):
                    there = self.expect_once(near)
                    for name, plain in there.plain.items():
                        errors[name] = max(errors[name], spread(there.truth[name], [plain]))
        for outputs in self._until(end, self.repeating.runs(feeds), 0):
            moved.add(self.kept(outputs, feeds))
            del outputs  # before the next ones are made
        if (weights or not floating) and self._moving and self._exact:
            others = self._with_other_weights(feeds, ulps, drift, case.seed)
            for outputs in self._until(end, others, least):
                moved.add(outputs)
                del outputs
        return Noise({n: max(errors[n], moved.spread[n]) for n in errors}, moved.undecided)

    def tied(
        self,
        case: Case,
        feeds: Arrays,
        expected: Expectation,
        got: Arrays,
        noise: Noise,
        end: float,
    ) -> Noise:
        """With more ties, where `got` has other whole numbers than PyTorch at places not known as
        such: of two equal numbers a neighbour changes the order one time in four, so that the usual
        draws miss one pair in ten."""
        if not any(s.is_float for s in self.signature.inputs):
            return noise
        left = {
            name: (got[name] != expected.plain[name]) & ~undecided
            for name, undecided in noise.undecided.items()
            if got[name].shape == undecided.shape
        }
        ties = {name: undecided.copy() for name, undecided in noise.undecided.items()}
        draws = self._drawn(feeds, case.seed, _TIE_DRAWS)
        for near in self._until(end, draws, 0):
            if not any(places.any() for places in left.values()):
                break
            with suppress(OnnxportError):
                there = self.kept(self.plain.run(near), near)
                for name in left:
                    ties[name] |= unsettled(expected.plain[name], [there[name]])
                    left[name] &= ~ties[name]
        return replace(noise, undecided=ties)

    def swayed(
        self, case: Case, feeds: Arrays, expected: Expectation, outputs: Collection[str], end: float
    ) -> Mapping[str, float]:
        """How far the first neighbour moves the outputs that takes from one of those named more
        than half of its digits; empty where none does. What is picked by an order jumps: of a
        large model so few neighbours are asked that it is missed where only two numbers are equal.
        """
        if not self._floats(feeds):
            return {}
        light = sum(a.size for a in self.weights().values()) < _LIGHT
        many = _TIE_DRAWS if light else _FEW_DRAWS
        draws = self._drawn(feeds, case.seed, many)
        for near in self._until(end, draws, 0):
            with suppress(OnnxportError):
                there = self.kept(self.plain.run(near), near)
                moved = {n: spread(truth, [there[n]]) for n, truth in expected.truth.items()}
                if any(is_lost(moved[n], expected, n) for n in outputs):
                    return moved
        return {}

    def untied(self, feeds: Arrays, seed: int) -> Iterator[Arrays]:
        """Neighbours of the feed without equal numbers."""
        return untied(feeds, self._floats(feeds), seed, self._draws)

    def _floats(self, feeds: Arrays) -> list[str]:
        return [s.name for s in self.signature.inputs if s.is_float and feeds[s.name].size]

    def _drawn(self, feeds: Arrays, seed: int, many: int) -> Iterator[Arrays]:
        floats = self._floats(feeds)
        return (neighbour(feeds, floats, seed, many, n) for n in range(many))

    def _until(self, end: float, draws: Iterator[_Drawn], least: int) -> Iterator[_Drawn]:
        """All that are drawn; after `end` the first few, and a note says so."""
        for made in count():
            if made >= least and time.perf_counter() > end:
                if least and IN_HASTE not in self.notes:
                    self.notes.append(IN_HASTE)
                return
            try:
                yield next(draws)
            except StopIteration:
                return

    def _others(self, case: Case) -> Iterator[Arrays]:
        """Other values of the same sizes: drawn, or the other examples where none can be drawn."""
        if self.signature.from_data:
            cases = (Case(case.sizes, GIVEN, n) for n in range(len(self.given)) if n != case.seed)
            feeds = (other.feeds(self.signature, self.given) for other in cases)
            alike = (f for f in feeds if self.signature.validate(f) == dict(case.sizes))
            yield from islice(alike, self._draws)
            return
        fill = "uniform" if case.fill == GIVEN else case.fill
        for n in range(self._draws):
            yield Case(case.sizes, fill, case.seed + 1000 + n).feeds(self.signature)

    def _with_other_weights(
        self, feeds: Arrays, ulps: float, drift: float, seed: int
    ) -> Iterator[Arrays]:
        assert self._moving is not None
        rng = np.random.default_rng(seed)
        moves = [(drift, 1), (drift, -1)] if drift else []
        moves += [(ulps, 0)] * self._draws
        for far, together in moves:
            with self._moving(far, rng, together):
                truth = self._run_exact(feeds)
            if truth is not None:
                yield truth
            del truth  # before the next one is made

    def _run_exact(self, feeds: Arrays) -> Arrays | None:
        if self._exact is None:
            return None
        try:
            outputs = self._exact.run(feeds)
        except OnnxportError as error:
            self._exact = None
            self.notes.append(
                "the original does not run in float64: it is judged by its response to"
                f" one-ulp changes of the input ({error.message})"
            )
            return None
        return self.kept(outputs, feeds)
