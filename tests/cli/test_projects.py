"""`onnxport check` of many models, and what it writes for a CI."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests import projects
from tests.cli.conftest import Onnxport


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    projects.written(tmp_path)
    return tmp_path


def test_without_a_config_it_says_what_to_write(onnxport: Onnxport) -> None:
    ran = onnxport("check")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[0] == (
        "error: there is no onnxport.toml here or above, and no [tool.onnxport] in a pyproject.toml"
    )


def test_all_models_end_in_a_table_and_the_worst_exit_code(
    onnxport: Onnxport, folder: Path
) -> None:
    outputs = ("--junit", "junit.xml", "--gitlab", "quality.json", "--html", "report.html")
    ran = onnxport("check", *outputs)
    assert ran.returncode == 1
    heading, double, square = ran.stdout.splitlines()[:3]
    assert heading.split() == ["model", "stage", "verdict", "cases", "worst", "size", "time"]
    assert double.split()[:4] == ["double", "export", "holds", "6"]
    assert square.split()[:4] == ["square", "export", "differs", "6"]
    assert "  rerun     onnxport check square --case batch=" in ran.stdout
    assert ran.stderr.count("\n") == 2
    assert ET.parse(folder / "junit.xml").getroot().get("failures") == "1"
    assert len(json.loads((folder / "quality.json").read_text())) == 1
    assert "1 of 2 models hold" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_name_is_of_the_config_and_a_path_is_a_path(onnxport: Onnxport, folder: Path) -> None:
    named = onnxport("check", "double", "--cases", "2", "--json")
    assert [m["name"] for m in json.loads(named.stdout)["models"]] == ["double"]
    path = onnxport("check", "double.onnx", "--against", "model.py:build", "--cases", "2")
    assert path.stdout.startswith("double.onnx holds against model.py:build on cpu\n")
    unknown = onnxport("check", "doubel")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "error: there is no model 'doubel' in onnxport.toml\nhint:  did you mean 'double'?\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["double", "--against", "model.py:build"], "--against is for one file"),
        (["double.onnx", "--update"], "--update is for the models of a config"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    onnxport: Onnxport, folder: Path, arguments: list[str], message: str
) -> None:
    ran = onnxport("check", *arguments)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {message}\n")


def test_update_then_check_then_drift(onnxport: Onnxport, folder: Path) -> None:
    assert onnxport("check", "double", "--update").returncode == 0
    lock = folder / "parity.lock"
    lock.write_text(lock.read_text().replace("batch = 1..8", "batch = 1..9"))
    ran = onnxport("check", "double")
    assert ran.returncode == 1
    assert "  drift     signature: was x: float32[batch, 4]; where batch = 1..9;" in ran.stdout
    assert "  accept    onnxport check --update double\n" in ran.stdout


def test_a_single_file_is_annotated_too(folder: Path) -> None:
    command = ["check", "square.onnx", "--against", "model.py:build", "--cases", "2"]
    ran = subprocess.run(
        [sys.executable, "-m", "toolkit", *command, "--json", "--junit", "j.xml", "--html=h.html"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(projects.__file__).parents[1]),
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_WORKSPACE": str(folder.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["holds"] is False
    place = f"file={folder.name}/model.py,line=9"
    assert ran.stderr.startswith(f"::error {place},title=square.onnx%3A check differs::")
    assert (folder / "summary.md").read_text().startswith("## ❌ onnxport: 0 of 1 models hold")
    assert ET.parse(folder / "j.xml").getroot().get("failures") == "1"
    written = (folder / "h.html").read_text(encoding="utf-8")
    assert "onnxport check square.onnx --against model.py:build --cases 2 --json --case" in written


def test_an_error_of_a_single_file_is_annotated_too(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "toolkit", "check", "missing.onnx"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(projects.__file__).parents[1]),
            "GITHUB_ACTIONS": "true",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3
    assert ran.stderr.splitlines()[0].startswith("::error file=missing.onnx,line=1,title=")
