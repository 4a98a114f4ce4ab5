"""What is picked by an order jumps where two numbers are equal but for their rounding."""

import numpy as np
import pytest

from tests.parity.functions import Computes, Function
from toolkit.parity.cases import Case
from toolkit.parity.judging import ILL_CONDITIONED, Judge
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[n, 3] in 0..1; where n = 2")
SAME_SUM = np.array([[0.1, 0.2, 0.7], [0.7, 0.2, 0.1]], np.float32)
APART = np.array([[0.1, 0.2, 0.7], [0.9, 0.8, 0.9]], np.float32)


def largest(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x[x.sum(1).argmax()]
    return found


def last(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x[-1]
    return found


class Judged:
    """Of a candidate that picks one row where the original picks that of the largest sum.

    `exact`: what its graph does in float64.
    """

    def __init__(self, exact: Function = largest) -> None:
        self.asked = 0
        plain = Computes(SIGNATURE, self._counted)
        wide = Computes(SIGNATURE, lambda x: largest(x.astype(np.float64)))
        self.reference = Reference(plain, wide)
        self.judge = Judge(self.reference, Tolerance(), exact=Computes(SIGNATURE, exact))

    def _counted(self, x: np.ndarray) -> np.ndarray:
        self.asked += 1
        return largest(x)

    def of(self, x: np.ndarray, row: int) -> CaseResult:
        case = Case((("n", 2),), "uniform", 0)
        return self.judge(case, {"x": x}, self.reference.expect({"x": x}), {"y": x[row]})


@pytest.mark.parametrize("row", [0, 1])
def test_either_of_two_equal_ones_is_no_difference(row: int) -> None:
    assert Judged().of(SAME_SUM, row).holds


def test_what_neighbours_sway_is_not_proven_either() -> None:
    results = [Judged().of(SAME_SUM, row) for row in (0, 1)]
    assert [r.excused for r in results if not r.proven] == [ILL_CONDITIONED]


def test_another_than_the_largest_differs() -> None:
    assert not Judged().of(APART, 0).holds


def test_so_does_a_graph_that_picks_by_another_rule_where_two_are_equal() -> None:
    ahead = np.array([[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]], np.float32)
    assert not Judged(exact=last).of(ahead, 1).holds
    assert Judged().of(ahead, 1).holds


def test_a_file_that_is_wrong_again_and_again_is_asked_about_no_more() -> None:
    judged = Judged()
    for _ in range(3):
        assert not judged.of(APART, 0).holds
    asked = judged.asked
    assert not judged.of(APART, 0).holds
    assert judged.asked - asked < 4  # what is expected, and no neighbour


def thirds(x: np.ndarray) -> np.ndarray:
    third = x.astype(np.float64) / 3
    found: np.ndarray = x[(third[:, 0] + third[:, 1] + third[:, 2]).argmax()]
    return found


def thirds_from_the_right(x: np.ndarray) -> np.ndarray:
    return thirds(x[:, ::-1])[::-1]


def of_thirds(graph: Function | None = None) -> CaseResult:
    """Of two rows of the same numbers, whose sums float64 rounds apart, each way another.

    Without a graph of its own it is one that always takes the row that the original does not.
    """
    rng = np.random.default_rng(0)
    rows = (rng.random(3).astype(np.float32) for _ in range(100))
    pairs = (np.array([row, row[::-1]]) for row in rows)
    x = next(x for x in pairs if (thirds(x) != thirds_from_the_right(x)).any())
    reference = Reference(Computes(SIGNATURE, thirds), Computes(SIGNATURE, thirds))
    expected = reference.expect({"x": x})
    (other,) = (n for n, row in enumerate(x) if (row != expected.plain["y"]).any())
    exact = Computes(SIGNATURE, graph or (lambda x: np.asarray(x[other])))
    judge = Judge(reference, Tolerance(), exact=exact)
    return judge(Case((("n", 2),), "uniform", 0), {"x": x}, expected, {"y": x[other]})


def test_float64_rounds_as_well() -> None:
    assert of_thirds(thirds_from_the_right).excused == ILL_CONDITIONED


def test_what_is_no_choice_there_is_wrong() -> None:
    assert not of_thirds().holds


def test_zero_is_no_tie_by_chance() -> None:
    """A `>` that has become a `>=`: at 0 it is wrong, though an ulp sways it."""

    def positive(x: np.ndarray) -> np.ndarray:
        return np.where(x.sum() > 0, x + 1, x - 1)

    def or_zero(x: np.ndarray) -> np.ndarray:
        return np.where(x.sum() >= 0, x + 1, x - 1)

    reference = Reference(Computes(SIGNATURE, positive), Computes(SIGNATURE, positive))
    judge = Judge(reference, Tolerance(), exact=Computes(SIGNATURE, or_zero))
    feeds = {"x": np.zeros((2, 3), np.float32)}
    case = Case((("n", 2),), "zeros", 0)
    assert not judge(case, feeds, reference.expect(feeds), {"y": or_zero(feeds["x"])}).holds
