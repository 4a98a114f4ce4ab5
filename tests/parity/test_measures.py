"""How far an output is off over all cases, in every usual measure."""

import numpy as np
import pytest

from toolkit.parity.cases import Case
from toolkit.parity.expectation import Expectation
from toolkit.parity.measures import Measuring
from toolkit.parity.results import CaseResult, Measures
from toolkit.parity.verdict import Judgement


def measured(*pairs: tuple[list[list[float]], list[list[float]]]) -> Measures:
    """Of cases of (truth, candidate), each with the largest error as its ratio."""
    measuring = Measuring()
    for number, (truth, found) in enumerate(pairs):
        r, c = np.array(truth, np.float32), np.array(found, np.float32)
        off = float(np.nanmax(np.abs(r - c)))
        result = CaseResult(Case((), "uniform", number), (Judgement("y", True, off, off),))
        measuring.add(result, Expectation({"y": r}, {"y": r.astype(np.float64)}), {"y": c})
    (found_measures,) = measuring.result()
    return found_measures


def test_the_worst_element_is_told_with_its_case() -> None:
    found = measured(([[1, 2]], [[1, 2]]), ([[1, 2]], [[1, 2.5]]), ([[1, 2]], [[1.25, 2]]))
    assert (found.worst_case, found.worst_index) == ("fill=uniform,seed=1", (0, 1))
    assert (found.max_abs, found.max_rel, found.ratio) == (0.5, 0.25, 0.5)


def test_signal_to_noise_is_over_all_cases_together() -> None:
    found = measured(([[3, 0]], [[3, 0]]), ([[4, 0]], [[4, 0.5]]))
    assert found.sqnr == pytest.approx(20.0)  # 25 against 0.25
    assert found.cosine == pytest.approx(25 / np.sqrt(25 * 25.25))


def test_agreement_is_over_all_rows() -> None:
    found = measured(([[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 1], [0, 1]]), ([[1, 0]], [[1, 0]]))
    assert (found.top1, found.top5) == (0.75, None)


def test_only_probabilities_have_a_divergence() -> None:
    assert measured(([[0.5, 0.5]], [[0.25, 0.75]])).kl == pytest.approx(0.1438, abs=1e-3)
    assert measured(([[5.0, 0.5]], [[0.25, 0.75]])).kl is None


def test_equal_outputs_are_told_in_words() -> None:
    assert str(measured(([[1, 2]], [[1, 2]]))) == (
        "'y' 0 ulps, 0 absolute, 0 relative, inf dB, cosine 1, top-1 100 %"
    )


def test_nan_on_both_sides_is_left_out() -> None:
    found = measured(([[np.nan, 2]], [[np.nan, 2.5]]))
    assert found.max_abs == 0.5
