"""GitLab's code quality report."""

import json

from tests.projects import model, parity, report, stage
from toolkit.project.results import Drift, ProjectReport
from toolkit.report.gitlab import code_quality


def issues(found: ProjectReport) -> list[dict[str, object]]:
    read: list[dict[str, object]] = json.loads(code_quality(found))
    return read


def test_a_report_that_holds_is_an_empty_list() -> None:
    assert issues(report()) == []


def test_an_issue_has_all_that_gitlab_asks_for() -> None:
    (issue,) = issues(report(model(stage(parity(9.0, holds=False)))))
    assert (issue["check_name"], issue["severity"]) == ("onnxport/differs", "critical")
    assert issue["location"] == {"path": "src/model.py", "lines": {"begin": 3}}
    assert str(issue["description"]).startswith("m: export differs\n")


def test_fingerprints_tell_issues_apart_and_stay_the_same() -> None:
    drift = (Drift("size", "1 kB", "2 kB"),)

    def fingerprints(ratio: float) -> list[object]:
        failing = stage(parity(ratio, holds=False))
        found = report(model(failing, stage(device="cuda", drift=drift)), model(failing, name="n"))
        return [issue["fingerprint"] for issue in issues(found)]

    assert len(set(fingerprints(9.0))) == 3
    assert fingerprints(9.0) == fingerprints(10.0)
