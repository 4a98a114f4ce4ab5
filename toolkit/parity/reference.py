"""What a candidate is held against: a plain run, a truer one, and neighbours of the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.dtypes import epsilon
from toolkit.errors import OnnxportError
from toolkit.parity.cases import Case
from toolkit.parity.verdict import spread, unsettled
from toolkit.plugins import Session
from toolkit.signature import Signature

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Expectation:
    """The outputs of one case: in the model's own precision, and the truth (as float64)."""

    plain: Arrays
    truth: Arrays


@dataclass(frozen=True)
class Noise:
    """What the reference itself cannot resolve: by output, a spread and positions that are ties."""

    spread: Mapping[str, float]
    undecided: Mapping[str, np.ndarray]


class Reference:
    """Two sessions of the original: `plain` in its own precision, `exact` in a higher one.

    `deep` loads the original in float64 where `exact` is not (a file); it is slow and seldom asked.
    Where `exact` does not run (float64 in a module that fixes float32), a note says so, the plain
    run stands in for the truth and its response to one-ulp changes of the input is the yardstick.
    """

    def __init__(
        self,
        plain: Session,
        exact: Session | None,
        weights: Callable[[], Arrays] = dict,
        deep: Callable[[], Session] | None = None,
    ) -> None:
        self._deep = deep
        self.weights = weights
        """The original's weights by name, read when they are asked for."""
        self.signature: Signature = plain.signature
        self.notes: list[str] = []
        self.plain, self._exact = plain, exact

    def expect(self, feeds: Arrays) -> Expectation:
        """Raises InputError where the original itself refuses the feed."""
        plain = self.plain.run(feeds)
        truth = self._run_exact(feeds)
        return Expectation(plain, _wide(truth if truth is not None else plain))

    @property
    def has_truth(self) -> bool:
        return self._exact is not None

    def in_float64(self, feeds: Arrays, expected: Expectation) -> Arrays | None:
        """The truth, where it is one: None for a file whose graph has no float64 evaluation."""
        if self._deep is None:
            return expected.truth
        try:
            return _wide(self._deep().run(feeds))
        except OnnxportError:
            return None

    def noise(
        self,
        case: Case,
        feeds: Arrays,
        expected: Expectation,
        *,
        ulps: float = 1.0,
        draws: int = 8,
    ) -> Noise:
        """How far outputs move between inputs that float32 cannot tell apart, and its error there.

        Floating inputs are moved by `ulps` up or down. A model of integers alone is run on other
        values of the same sizes, whose rounding error is of the same kind.
        """
        rng = np.random.default_rng(case.seed)
        moved: dict[str, list[np.ndarray]] = {name: [] for name in expected.plain}
        errors = dict.fromkeys(expected.plain, 0.0)
        floating = any(s.is_float for s in self.signature.inputs)
        for draw in range(draws):
            if floating:
                near = {
                    s.name: _nudged(feeds[s.name], s.is_float, ulps, rng)
                    for s in self.signature.inputs
                }
            else:
                near = Case(case.sizes, case.fill, case.seed + 1000 + draw).feeds(self.signature)
            try:
                there = self.expect(near)
            except OnnxportError:  # a neighbour just outside of what the model accepts
                continue
            for name, plain in there.plain.items():
                errors[name] = max(errors[name], spread(there.truth[name], [plain]))
                if floating:
                    moved[name] += [plain, there.truth[name]]
        return Noise(
            {n: max(errors[n], spread(expected.truth[n], moved[n])) for n in errors},
            {n: unsettled(expected.plain[n], [*moved[n], expected.truth[n]]) for n in errors},
        )

    def _run_exact(self, feeds: Arrays) -> Arrays | None:
        if self._exact is None:
            return None
        try:
            return self._exact.run(feeds)
        except OnnxportError as error:
            self._exact = None
            self.notes.append(
                "the original does not run in float64: it is judged by its response to"
                f" one-ulp changes of the input ({error.message})"
            )
            return None


def _wide(outputs: Arrays) -> dict[str, np.ndarray]:
    return {name: a.astype(np.float64) for name, a in outputs.items()}


def _nudged(array: np.ndarray, floating: bool, ulps: float, rng: np.random.Generator) -> np.ndarray:
    """Each number `ulps` up or down; for zeros, ulps of the array's root mean square."""
    if not floating or not array.size:
        return array
    wide = array.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    usual = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    step = np.where(wide == 0.0, usual or 1.0, np.abs(wide))
    step = step * ulps * epsilon(str(array.dtype))
    signs = rng.integers(0, 2, array.shape) * 2 - 1
    return np.asarray(wide + signs * step).astype(array.dtype)
