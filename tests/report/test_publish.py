"""Where a report goes."""

from pathlib import Path

import pytest

from tests.projects import model, parity, report, stage
from toolkit.report.publish import publish, root

BAD = report(model(stage(parity(9.0, holds=False))))


def test_nothing_is_said_outside_of_a_ci(capsys: pytest.CaptureFixture[str]) -> None:
    publish(BAD, environ={})
    assert capsys.readouterr() == ("", "")


def test_under_github_actions_annotations_go_to_stderr_and_the_summary_grows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "summary.md"
    place.write_text("before\n")
    publish(BAD, environ={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(place)})
    out, err = capsys.readouterr()
    assert (out, err.count("::error file=src/model.py,line=3")) == ("", 1)
    assert place.read_text().startswith("before\n## ❌ onnxport")


def test_files_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    files = {
        "junit_file": tmp_path / "j.xml",
        "gitlab_file": tmp_path / "g.json",
        "html_file": tmp_path / "h.html",
    }
    publish(BAD, **files, environ={})
    assert (tmp_path / "j.xml").read_text().startswith("<?xml")
    assert (tmp_path / "g.json").read_text().startswith("[")
    assert (tmp_path / "h.html").read_text(encoding="utf-8").startswith("<!doctype html>\n")


def test_places_are_relative_to_the_checkout_that_holds_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert root({}) == (tmp_path / "a").resolve()
    assert root({"CI_PROJECT_DIR": str(tmp_path)}) == tmp_path.resolve()
    assert root({"GITHUB_WORKSPACE": "/elsewhere"}) == (tmp_path / "a").resolve()
