"""JUnit XML, read again by a parser."""

from xml.etree import ElementTree as ET

from tests.projects import model, parity, report, stage
from toolkit.project.results import Drift, Failure, ProjectReport, StageResult
from toolkit.report.junit import junit


def read(found: ProjectReport) -> ET.Element:
    return ET.fromstring(junit(found))


def test_a_suite_for_each_model_and_a_case_for_each_stage() -> None:
    root = read(report(model(stage(), stage(device="cuda")), model(name="n")))
    names = [(s.get("name"), [c.get("name") for c in s.iter("testcase")]) for s in root]
    assert names == [("m", ["export", "export on cuda"]), ("n", ["export"])]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "0", "0")
    case = root.find(".//testcase")
    assert case is not None
    assert (case.get("file"), case.get("line")) == ("src/model.py", "3")


def test_tells_what_differs_drifts_fails_and_is_left_out_apart() -> None:
    root = read(
        report(
            model(
                stage(parity(9.0, holds=False), rerun="onnxport check m"),
                stage(drift=(Drift("size", "1 kB", "2 kB"),)),
                stage(Failure("no such file", "name one", 3)),
                StageResult("int8", "cpu", remark="the bundle has none"),
            )
        )
    )
    counts = [root.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["4", "2", "1", "1"]
    differs, drifts = root.iter("failure")
    assert differs.get("message", "").startswith("'y' is 2, expected 1 at [0], 9x the error")
    assert "rerun: onnxport check m" in (differs.text or "")
    assert drifts.get("message") == "size: was 1 kB, is 2 kB"
    (error,) = root.iter("error")
    assert error.text == "error: no such file\nhint: name one"
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == "the bundle has none"


def test_a_model_that_drifts_as_a_whole_is_a_case_of_its_own() -> None:
    root = read(report(model(drift=(Drift("signature", "a", "b"),))))
    assert [c.get("name") for c in root.iter("testcase")] == ["lock", "export"]
    assert root.get("failures") == "1"


def test_text_of_any_kind_is_escaped_or_replaced() -> None:
    nasty = "<&\"'> \x00\x1b[31m \ud800 ä"
    found = report(model(stage(Failure(nasty, "", 3)), name=nasty))
    (error,) = read(found).iter("error")
    assert error.get("message") == "<&\"'> \ufffd\ufffd[31m \ufffd ä"
