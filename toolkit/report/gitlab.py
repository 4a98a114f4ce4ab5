"""A report as GitLab's code quality shows it in a merge request.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json

from toolkit.project.findings import Finding, findings
from toolkit.project.results import DIFFERS, DRIFTS, ERROR, ProjectReport

_SEVERITY = {DIFFERS: "critical", ERROR: "major", DRIFTS: "minor"}


def code_quality(report: ProjectReport) -> str:
    """The text of the JSON file; `[]` where the report holds."""
    return json.dumps([_issue(found) for found in findings(report)], indent=2) + "\n"


def _issue(found: Finding) -> dict[str, object]:
    # The same finding has the same fingerprint in the next run: that is how GitLab tells old ones.
    known = "\n".join((found.model, found.stage, found.outcome))
    place = found.place
    return {
        "description": f"{found.title}\n{found.text}",
        "check_name": f"onnxport/{found.outcome}",
        "fingerprint": hashlib.sha256(known.encode()).hexdigest(),
        "severity": _SEVERITY[found.outcome],
        "location": {
            "path": place.file if place else "onnxport.toml",
            "lines": {"begin": place.line if place else 1},
        },
    }
