"""Workflow commands and the summary of a job."""

from tests.projects import model, parity, report, stage
from toolkit.project.lines import Place
from toolkit.project.results import Drift, Failure
from toolkit.report.github import summary, workflow_commands


def test_a_report_that_holds_has_no_annotations() -> None:
    assert workflow_commands(report()) == []


def test_an_annotation_stands_at_the_source_and_escapes_as_github_says() -> None:
    place = Place("src/a,b:c.py", 7)
    failure = Failure("100% wrong", "see x\r\ny", 3)
    found = model(stage(failure), name="m: a, b", place=place)
    assert workflow_commands(report(found)) == [
        "::error file=src/a%2Cb%3Ac.py,line=7,title=m%3A a%2C b%3A export cannot be checked"
        "::error: 100%25 wrong%0Ahint: see x%0D%0Ay"
    ]


def test_drift_says_how_to_accept_it() -> None:
    (line,) = workflow_commands(report(model(drift=(Drift("signature", "a", "b"),))))
    assert line.endswith("::drift: signature: was a, is b%0Aaccept: onnxport check --update m")


def test_the_summary_is_a_table_and_what_is_wrong() -> None:
    text = summary(report(model(), model(stage(parity(9.0, holds=False)), name="n_1|`x`")))
    lines = text.splitlines()
    assert lines[0] == "## ❌ onnxport: 1 of 2 models hold"
    assert lines[4] == "| m | export | ✅ holds | 2 | 0.5x | 1.0 kB | 0.0 s |"
    assert lines[5].startswith(r"| n\_1\|\`x\` | export | ❌ differs | 2 | 9x |")
    assert "```text\ndiffers: 'y' is 2, expected 1" in text
    assert "torch 2.13.0" in text


def test_what_is_told_cannot_leave_its_block() -> None:
    failure = Failure("```\n# not a heading", "", 3)
    assert "````text\n" in summary(report(model(stage(failure))))
