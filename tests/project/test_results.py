"""The verdict on many models, and its one line."""

import pytest

from tests.projects import model, parity, report, stage
from toolkit.project.results import Drift, Failure, ModelResult, StageResult

DRIFT = (Drift("size", "1 kB", "2 kB"),)

HOLDING = model()
DIFFERING = model(stage(parity(9.0, holds=False)))
DRIFTING = model(stage(drift=DRIFT))
CRASHED = model(stage(Failure("it crashed", "", 5)))
LEFT_OUT = model(stage(), StageResult("int8", "cpu", remark="the bundle has none"))


@pytest.mark.parametrize(
    ("models", "code", "summary"),
    [
        ([HOLDING, LEFT_OUT], 0, "2 of 2 models hold"),
        ([HOLDING, DIFFERING], 1, "1 of 2 models hold"),
        ([HOLDING, DRIFTING], 1, "1 of 2 models hold, 1 drifts"),
        ([DRIFTING, model(drift=DRIFT)], 1, "0 of 2 models hold, 2 drift"),
        ([DIFFERING, CRASHED], 5, "0 of 2 models hold"),
    ],
)
def test_the_worst_decides(models: list[ModelResult], code: int, summary: str) -> None:
    found = report(*models)
    assert (found.exit_code, found.summary) == (code, summary)


@pytest.mark.parametrize(
    ("found", "proven"),
    [(HOLDING, True), (DRIFTING, True), (LEFT_OUT, True), (DIFFERING, False), (CRASHED, False)],
)
def test_what_drifts_is_proven_and_may_be_accepted(found: ModelResult, proven: bool) -> None:
    assert found.proven == proven


def test_counts_are_of_stages() -> None:
    found = report(LEFT_OUT, DIFFERING)
    assert found.counts == {"holds": 1, "differs": 1, "left out": 1}
