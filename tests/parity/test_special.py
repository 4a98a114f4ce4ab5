"""NaN, infinities, denormals and -0.0: what is a difference there, and what is nobody's fault."""

import numpy as np
import pytest

from tests.parity.functions import Computes, Function
from toolkit.parity import special
from toolkit.parity.cases import Case
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.results import CaseResult
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[n, 4]\nwhere n = 1..9")


def judged(
    fill: str,
    original: Function,
    candidate: Function,
    graph: Function | None = None,
    *,
    ordered: bool = False,
) -> CaseResult:
    """The verdict on `candidate`, whose file says `graph`, at a fill."""
    case = Case((("n", 6),), fill, 3)
    wide = Computes(SIGNATURE, lambda x: original(x.astype(np.float64)))
    reference = Reference(Computes(SIGNATURE, original), wide)
    exact = Computes(SIGNATURE, lambda x: (graph or candidate)(x.astype(np.float64)))
    judge = Judge(reference, Tolerance(), exact=exact, ordered=lambda: ordered)
    feeds = case.feeds(SIGNATURE)
    with np.errstate(all="ignore"):
        got = Computes(SIGNATURE, candidate).run(feeds)
        return judge(case, feeds, reference.expect(feeds), got)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def zero_for_nan(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0).astype(x.dtype)


@pytest.mark.parametrize("fill", special.SPECIAL)
def test_the_same_function_is_proven_at_every_special_fill(fill: str) -> None:
    result = judged(fill, relu, relu)
    assert result.proven
    assert not result.excused


def test_a_number_where_the_original_has_nan_is_not_counted() -> None:
    result = judged("nan", relu, zero_for_nan)
    assert (result.holds, result.proven) == (True, False)
    assert result.excused == special.NOT_FINITE


def test_nan_where_the_original_has_a_number_differs() -> None:
    result = judged("nan", np.nan_to_num, lambda x: x)
    assert not result.holds
    assert result.reason.startswith("'y' is nan, expected 0 at [")


def test_nan_that_leaks_into_another_row_differs() -> None:
    def leaking(x: np.ndarray) -> np.ndarray:
        return x + 0 * x.sum()

    assert not judged("nan", lambda x: x, leaking).holds


def test_a_right_graph_whose_runtime_treats_nan_its_own_way_is_not_counted() -> None:
    result = judged("nan", zero_for_nan, relu, graph=zero_for_nan)
    assert result.excused == special.OF_RUNTIME


def test_after_an_argmax_of_nan_nothing_is_compared() -> None:
    def first(x: np.ndarray) -> np.ndarray:
        return x.argmax(-1)

    def last(x: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(x), -np.inf, x).argmax(-1)

    assert not judged("nan", first, last).holds
    assert judged("nan", first, last, ordered=True).excused == special.UNDEFINED


def test_infinity_minus_infinity_may_come_in_another_order() -> None:
    def mean(x: np.ndarray) -> np.ndarray:
        return x.mean(-1)

    def shifted(x: np.ndarray) -> np.ndarray:
        most = np.abs(x).max(-1)
        return (x - most[:, None]).mean(-1) + most

    assert judged("infinite", mean, shifted).excused == special.NOT_FINITE


def test_what_the_original_returns_for_zero_is_no_difference_at_a_denormal() -> None:
    def flushing(x: np.ndarray) -> np.ndarray:
        return np.sign(np.where(np.abs(x) < 2.0**-126, 0, x))

    assert judged("denormal", np.sign, flushing).excused == special.FLUSHED


def test_what_the_original_returns_for_zero_is_no_difference_at_minus_zero() -> None:
    def infinite(x: np.ndarray) -> np.ndarray:
        return 1 / (x + 0)

    assert judged("negative-zero", lambda x: 1 / x, infinite).excused == special.FLUSHED


@pytest.mark.parametrize("fill", ["denormal", "negative-zero"])
def test_another_result_at_zero_differs(fill: str) -> None:
    assert not judged(fill, np.cos, lambda x: np.cos(x) + np.float32(1e-3)).holds


def test_a_result_below_the_smallest_normal_number_may_be_zero() -> None:
    assert judged("denormal", lambda x: x, np.zeros_like).proven


@pytest.mark.parametrize(("values", "excused"), [("", special.UNDECLARED), (" in -inf..inf", "")])
def test_infinities_count_where_the_signature_names_them(values: str, excused: str) -> None:
    signature = Signature.parse(f"x: float32[n, 4]{values}\nwhere n = 1..9")
    original, candidate = np.arctan, lambda x: np.where(np.isinf(x), 0, np.arctan(x))
    reference = Reference(Computes(signature, original), Computes(signature, original))
    case = Case((("n", 6),), "infinite", 3)
    feeds = case.feeds(signature)
    got = {"y": candidate(feeds["x"]).astype(np.float32)}
    result = Judge(reference, Tolerance())(case, feeds, reference.expect(feeds), got)
    assert (result.excused, result.holds) == (excused, bool(excused))
