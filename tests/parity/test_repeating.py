"""Run-to-run noise of the original is part of the yardstick; TF32 is told, and is not."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from tests.parity.functions import Computes
from toolkit import plugins, source
from toolkit.parity.cases import Case
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.repeating import AGAIN, ONE_THREAD, TF32, Repeated, Ways
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[n] in 1..2; where n = 1..9; -> y: float32[n]")
CASES = [Case((("n", 4),), "uniform", seed) for seed in range(5)]


class Wavering(Computes):
    """Returns what it is fed, and in another way a little more."""

    def __init__(self, way: str, more: float) -> None:
        super().__init__(SIGNATURE, lambda x: x + np.float32(self.more))
        self.more, self._way, self._much = 0.0, way, more

    def ways(self) -> Ways:
        @contextmanager
        def entered() -> Iterator[None]:
            self.more = self._much
            yield
            self.more = 0.0

        return {self._way: entered}


def held(way: str, more: float, off: float) -> bool:
    """Does a candidate hold that is so far off, where the original wavers?"""
    reference = Reference(Wavering(way, more), Computes(SIGNATURE, lambda x: x))
    judge = Judge(reference, Tolerance())
    feeds = CASES[0].feeds(SIGNATURE)
    got = {"y": feeds["x"] + np.float32(off)}
    return judge(CASES[0], feeds, reference.expect(feeds), got).proven


@pytest.mark.parametrize(
    ("way", "more", "holds"),
    [(AGAIN, 0.0, False), (AGAIN, 1e-4, True), (ONE_THREAD, 1e-4, True), (TF32, 1e-4, False)],
)
def test_what_the_original_does_not_repeat_is_no_difference(
    way: str, more: float, holds: bool
) -> None:
    assert held(way, more, 5e-4) is holds


def test_the_first_cases_are_repeated() -> None:
    reference = Reference(Wavering(TF32, 0.5), Computes(SIGNATURE, lambda x: x))
    for case in CASES:
        reference.expect(case.feeds(SIGNATURE))
    (found,) = reference.repeating.result()
    assert (found.way, found.cases) == (TF32, 3)
    assert found.ratio > 1e5


def test_equal_runs_are_told_in_words() -> None:
    assert str(Repeated(AGAIN, 3)) == "the same bits once more"
    assert str(Repeated(ONE_THREAD, 3, 0.523)) == "up to 0.52x the error of float32 on one thread"


def test_eager_pytorch_is_run_on_one_thread_and_gets_its_threads_back() -> None:
    model = source.load(
        (nn.Linear(3, 2).eval(), "x: float32[batch, 3] in 0..1; where batch = 1..4")
    )
    session = plugins.runtime("pytorch").load(model, "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ways: dict[str, AbstractContextManager[None]] = {n: w() for n, w in session.ways().items()}
        assert list(ways) == [AGAIN, ONE_THREAD]
        with ways[ONE_THREAD]:
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
