"""A case before the judge, with appeal: a wrong file is told from a runtime that only rounds."""

from itertools import accumulate

import numpy as np
import pytest

from tests.parity.functions import Computes, Function
from toolkit.parity.cases import Case
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

LONG = Signature.parse("x: float32[n] in 0..1\nwhere n = 1..40000\n-> y: float32[]")
CASE = Case((("n", 40000),), "high", 0)


def mean(x: np.ndarray) -> np.ndarray:
    """Of a tenth of each; added pairwise, as numpy and PyTorch do: exact to an ulp or two."""
    return np.asarray((x * x.dtype.type(0.1)).mean(), x.dtype)


def one_by_one(x: np.ndarray) -> np.ndarray:
    """Added from left to right in float32, as ONNX Runtime does: the error grows with n."""
    *_, total = accumulate(x * np.float32(0.1))
    return np.asarray(total / np.float32(x.size), np.float32)


def one_percent_more(x: np.ndarray) -> np.ndarray:
    return np.asarray(mean(x) * x.dtype.type(1.01), x.dtype)


def heard(
    candidate: Function,
    graph: Function | None,
    truth: Function = mean,
    *,
    internal: bool = False,
    original: Function = mean,
    case: Case = CASE,
) -> CaseResult:
    """The verdict on `candidate`, whose file says `graph`, against the original."""
    wide = Computes(LONG, lambda x: truth(x.astype(np.float64)))
    reference = Reference(Computes(LONG, original), wide)
    exact = Computes(LONG, lambda x: graph(x.astype(np.float64))) if graph else None
    feeds = case.feeds(LONG)
    got = Computes(LONG, candidate).run(feeds)
    judge = Judge(reference, Tolerance(), exact=exact, internal=lambda: internal)
    return judge(case, feeds, reference.expect(feeds), got)


def test_the_original_itself_holds_without_appeal() -> None:
    result = heard(mean, mean)
    assert result.holds
    assert not result.rounding


def test_a_right_graph_whose_runtime_sums_plainly_holds_on_appeal() -> None:
    result = heard(one_by_one, mean)
    assert result.ratio > 8
    assert result.holds
    assert result.rounding


@pytest.mark.parametrize("fill", ["denormal", "negative-zero"])
def test_numbers_near_zero_are_heard_again_as_others_are(fill: str) -> None:
    def beside(summed: Function) -> Function:
        return lambda x: summed(x + x.dtype.type(1))

    def again(candidate: Function, graph: Function) -> CaseResult:
        ways = (beside(candidate), beside(graph), beside(mean))
        return heard(*ways, original=beside(mean), case=Case((("n", 40000),), fill, 0))

    assert again(one_by_one, mean).rounding
    assert not again(one_percent_more, one_percent_more).holds


def test_what_differs_near_zero_is_said_of_those_numbers_and_not_of_zeros() -> None:
    """Of which the logarithm is -inf."""

    def logarithm(x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(x.max()), x.dtype)

    result = heard(
        lambda x: logarithm(x) * np.float32(1.01),
        lambda x: logarithm(x) * 1.01,
        logarithm,
        original=logarithm,
        case=Case((("n", 4),), "denormal", 0),
    )
    assert not result.holds
    assert "expected -90.8" in result.reason


def test_the_same_numbers_from_a_graph_that_cannot_be_evaluated_differ() -> None:
    assert not heard(one_by_one, None).holds


def test_but_operators_that_only_one_runtime_has_are_not_held_against_it() -> None:
    result = heard(one_by_one, None, internal=True)
    assert result.excused.startswith("off by no more than plain summation is")
    assert not heard(lambda x: mean(x) * np.float32(1.1), None, internal=True).holds


def test_a_wrong_graph_differs_and_its_float64_says_so() -> None:
    result = heard(one_percent_more, one_percent_more)
    assert not result.holds
    assert "in float64 as well" in result.reason


def test_a_right_graph_excuses_no_runtime_that_is_off_by_more_than_sums_explain() -> None:
    result = heard(lambda x: mean(x) * np.float32(1.1), mean)
    assert not result.holds
    assert "the runtime is off" in result.reason


def test_an_error_beyond_all_rounding_is_not_heard_again() -> None:
    def forbidden(x: np.ndarray) -> np.ndarray:
        raise AssertionError("the graph was evaluated for a hopeless case")

    assert not heard(lambda x: mean(x) + np.float32(7), forbidden).holds


@pytest.mark.parametrize(("off", "holds"), [(3e-5, True), (1.0, False)])
def test_where_all_cancels_the_neighbours_are_the_yardstick(off: float, holds: bool) -> None:
    """Equal numbers normalized are 0, and PyTorch's own error is 0 as well."""

    def normalized(x: np.ndarray) -> np.ndarray:
        return np.asarray((x - x.mean()) / np.sqrt(x.var() + x.dtype.type(1e-6)))

    case = Case((("n", 8),), "equal", 0)
    result = heard(
        lambda x: np.full_like(x, off), normalized, normalized, original=normalized, case=case
    )
    assert result.holds == holds


def test_an_explicit_tolerance_knows_no_appeal() -> None:
    reference = Reference(Computes(LONG, mean), Computes(LONG, mean))
    feeds = CASE.feeds(LONG)
    judge = Judge(reference, Tolerance(atol=1e-9), exact=Computes(LONG, mean))
    got = Computes(LONG, one_by_one).run(feeds)
    assert not judge(CASE, feeds, reference.expect(feeds), got).holds


@pytest.mark.parametrize("got", [{}, {"y": np.float32(0.5), "z": np.float32(0)}])
def test_an_output_of_one_side_only_is_a_problem(got: dict[str, np.ndarray]) -> None:
    reference = Reference(Computes(LONG, mean), Computes(LONG, mean))
    feeds = CASE.feeds(LONG)
    result = Judge(reference, Tolerance())(CASE, feeds, reference.expect(feeds), got)
    assert result.problem.endswith("is an output of one and not of the other")


TIES = Signature.parse("x: float32[n]\nwhere n = 1..64\n-> y: int64[]")


def test_a_tie_that_the_reference_cannot_tell_apart_may_fall_either_way() -> None:
    """Two largest entries, an ulp apart at most under the noise of the input."""
    case = Case((("n", 5),), "zeros", 0)
    reference = Reference(Computes(TIES, np.argmax), Computes(TIES, np.argmax))
    feeds = case.feeds(TIES)
    verdict = Judge(reference, Tolerance())(
        case, feeds, reference.expect(feeds), {"y": np.asarray(3)}
    )
    assert verdict.holds


def test_a_clear_winner_is_no_tie() -> None:
    case = Case((("n", 5),), "uniform", 0)
    reference = Reference(Computes(TIES, np.argmax), Computes(TIES, np.argmax))
    feeds = case.feeds(TIES)
    wrong = (feeds["x"].argmax() + 1) % 5
    verdict = Judge(reference, Tolerance())(
        case, feeds, reference.expect(feeds), {"y": np.asarray(wrong)}
    )
    assert not verdict.holds


def test_of_many_ties_every_one_is_seen() -> None:
    """The usual eight draws leave the order of one pair of equal numbers in ten as it was."""
    pairs = Signature.parse("x: float32[400]\n-> y: int64[400]")
    feeds = {"x": np.concatenate([np.repeat(np.arange(100), 2), np.arange(100, 300)])}
    feeds["x"] = feeds["x"].astype(np.float32)
    reference = Reference(Computes(pairs, np.argsort), Computes(pairs, np.argsort))
    expected = reference.expect(feeds)
    judge, case = Judge(reference, Tolerance()), Case((), "uniform", 0)
    other = np.arange(400)
    other[:200] = other[:200].reshape(100, 2)[:, ::-1].reshape(200)
    assert judge(case, feeds, expected, {"y": other}).holds
    other[[250, 251]] = 251, 250
    assert not judge(case, feeds, expected, {"y": other}).holds


@pytest.mark.parametrize(("came", "excused"), [(2, True), (3, True), (4, False), (1, False)])
def test_of_two_shapes_that_rounding_decides_either_is_right(came: int, excused: bool) -> None:
    """Of a nucleus or of boxes that are kept: float64 has one more."""
    signature = Signature.parse("x: float32[n] in 0..1; where n = 5")
    x = np.linspace(0, 1, 5).astype(np.float32)
    plain, wide = Computes(signature, lambda x: x[:2]), Computes(signature, lambda x: x[:3])
    reference = Reference(plain, wide)
    case = Case((), "uniform", 0)
    got = {"y": x[:came]}
    result = Judge(reference, Tolerance())(case, {"x": x}, reference.expect({"x": x}), got)
    assert (result.holds, result.proven) == (excused, False)
