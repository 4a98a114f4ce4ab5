"""A report as JUnit XML: a suite for each model, a case for each stage and device.

The dialect that Jenkins, GitLab, GitHub actions and Azure read: testsuites, testsuite, testcase
with failure, error or skipped (https://github.com/testmoapp/junitxml).
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from toolkit.project.findings import details
from toolkit.project.results import (
    DIFFERS,
    DRIFTS,
    ERROR,
    LEFT_OUT,
    ModelResult,
    ProjectReport,
    StageResult,
)

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even escaped (section 2.2, Char)."""


def junit(report: ProjectReport) -> str:
    """The text of the XML file."""
    root = ET.Element("testsuites", {"name": "onnxport check", **_counted(report.models)})
    root.set("time", f"{report.seconds:.3f}")
    for model in report.models:
        suite = ET.SubElement(root, "testsuite", {"name": _text(model.name), **_counted((model,))})
        suite.set("time", f"{model.seconds:.3f}")
        properties = ET.SubElement(suite, "properties")
        known = {"source": model.source, "signature": model.signature, **report.versions}
        for name, value in known.items():
            ET.SubElement(properties, "property", name=name, value=_text(value))
        if model.drift:
            told = [str(drift) for drift in model.drift]
            case = _case(suite, model, "lock")
            _failed(case, "failure", DRIFTS, told[0], told)
        for stage in model.stages:
            _stage(suite, model, stage)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _stage(suite: ET.Element, model: ModelResult, stage: StageResult) -> None:
    case = _case(suite, model, stage.label)
    case.set("time", f"{stage.seconds:.3f}")
    if stage.outcome == LEFT_OUT:
        ET.SubElement(case, "skipped", message=_text(stage.remark))
    elif stage.exit_code:
        told = [f"{label}: {line}" for label, line in details(model, stage)]
        kind = "error" if stage.outcome == ERROR else "failure"
        _failed(case, kind, stage.outcome, stage.reason, told)
    if stage.report is not None and not stage.exit_code:
        ET.SubElement(case, "system-out").text = _text(stage.report.summary)


def _case(suite: ET.Element, model: ModelResult, name: str) -> ET.Element:
    where = {"file": model.place.file, "line": str(model.place.line)} if model.place else {}
    known = {"classname": f"onnxport.{model.name}", "name": name, **where}
    return ET.SubElement(suite, "testcase", {key: _text(value) for key, value in known.items()})


def _failed(case: ET.Element, kind: str, outcome: str, reason: str, told: list[str]) -> None:
    element = ET.SubElement(case, kind, type=outcome, message=_text(reason))
    element.text = _text("\n".join(told))


def _counted(models: tuple[ModelResult, ...]) -> dict[str, str]:
    outcomes = [stage.outcome for model in models for stage in model.stages]
    drifting = sum(bool(model.drift) for model in models)
    counts = {
        "tests": len(outcomes) + drifting,
        "failures": outcomes.count(DIFFERS) + outcomes.count(DRIFTS) + drifting,
        "errors": outcomes.count(ERROR),
        "skipped": outcomes.count(LEFT_OUT),
    }
    return {name: str(count) for name, count in counts.items()}


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)
