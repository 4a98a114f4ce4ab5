"""What is said of what is not good."""

from tests.projects import model, parity, report, stage
from toolkit.project.findings import details, findings
from toolkit.project.results import Drift, Failure, StageResult, Tried


def test_a_report_that_holds_has_none() -> None:
    assert findings(report(model(), model(StageResult("int8", "cpu", remark="none")))) == ()


def test_an_export_that_failed_says_what_was_tried_and_how_to_see_more() -> None:
    tried = (Tried("dynamo", "refused", "no such operator"), Tried("script", "differs", "'y' is 2"))
    failed = stage(Failure("no file", "narrow it", 1), tried=tried, rerun="onnxport export m")
    assert details(model(), failed) == [
        ("differs", "no file"),
        ("hint", "narrow it"),
        ("tried", "dynamo refused: no such operator"),
        ("tried", "script differs: 'y' is 2"),
        ("rerun", "onnxport export m"),
    ]


def test_a_check_that_failed_says_how_often_and_how_to_see_it_again() -> None:
    failed = stage(parity(9.0, holds=False), rerun="onnxport check m --case x")
    labels = [label for label, _ in details(model(), failed)]
    assert labels == ["differs", "failing", "rerun"]


def test_drift_says_how_to_accept_it_and_names_the_model() -> None:
    drift = Drift("size", "1 kB", "2 kB")
    whole, part = findings(report(model(stage(drift=(drift,)), drift=(drift,))))
    assert (whole.title, part.title) == ("m drifts", "m: export drifts")
    assert part.text == "drift: size: was 1 kB, is 2 kB\naccept: onnxport check --update m"
    assert whole.text == part.text
