"""Where a report goes beside the terminal: files that were asked for, and the CI that runs this."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from toolkit import atomic
from toolkit.project.results import ProjectReport
from toolkit.report.github import summary, workflow_commands
from toolkit.report.gitlab import code_quality
from toolkit.report.html.page import page
from toolkit.report.junit import junit


def publish(
    report: ProjectReport,
    *,
    junit_file: Path | None = None,
    gitlab_file: Path | None = None,
    html_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Write the files; under GitHub Actions, annotations to stderr and the summary of the job.

    Raises InputError where a file cannot be written.
    """
    renders = (junit_file, junit), (gitlab_file, code_quality), (html_file, page)
    for path, render in renders:
        if path is not None:
            with atomic.replacing(path) as scratch:
                scratch.write_text(render(report), encoding="utf-8")
    if environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(report):
            print(line, file=sys.stderr)
        if place := environ.get("GITHUB_STEP_SUMMARY"):
            with open(place, "a", encoding="utf-8") as file:
                file.write(summary(report))


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """The checkout, as GitHub and GitLab name it, else this folder: what places are relative to."""
    here = Path.cwd().resolve()
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        if environ.get(name) and here.is_relative_to(found := Path(environ[name]).resolve()):
            return found
    return here
