"""What other repositories take from this one: the GitHub action and the pre-commit hook."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests import projects

ROOT = Path(projects.__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
BASH = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]  # as GitHub runs `shell: bash`


def put(folder: Path, name: str, line: str) -> None:
    """A command of one line."""
    (folder / name).write_text(f"#!/bin/sh\n{line}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A runner on which `python` and `onnxport` only say what they were asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python", "onnxport"):
        put(folder, name, 'printf "%s\\n" "$@"')
    (tmp_path / "temp").mkdir()
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ACTIONS": "true",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    projects.written(tmp_path / "repository")
    return tmp_path / "repository"


def run(script: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BASH, "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_every_input_is_used_and_every_one_that_is_used_is_declared() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(ACTION["runs"])))
    assert used == set(ACTION["inputs"])


def test_no_input_is_pasted_into_a_script() -> None:
    scripts = [step["run"] for step in STEPS.values() if "run" in step]
    assert len(scripts) == 2
    assert not any("${{" in script for script in scripts)


def test_the_action_installs_itself_and_what_the_models_need(
    folder: Path, environ: dict[str, str]
) -> None:
    known = {"ONNXPORT": "/the action", "INSTALL": "-r requirements.txt"}
    ran = run(STEPS["Install"]["run"], folder, {**environ, **known})
    asked = ["-m", "pip", "install", "--quiet", "/the action", "-r", "requirements.txt"]
    assert ran.stdout.splitlines() == asked


@pytest.mark.parametrize(
    ("config", "arguments", "asked"),
    [
        ("", "", []),
        ("", "digits --budget 5s", ["digits", "--budget", "5s"]),
        ("a b.toml", "", ["--config", "a b.toml"]),
        ("$(touch evil)", "; touch evil", ["--config", "$(touch evil)", ";", "touch", "evil"]),
    ],
)
def test_the_action_passes_its_inputs_on_as_words(
    folder: Path, environ: dict[str, str], config: str, arguments: str, asked: list[str]
) -> None:
    ran = run(STEPS["Check"]["run"], folder, {**environ, "CONFIG": config, "ARGS": arguments})
    words = ran.stdout.splitlines()
    at = words.index("--junit")
    assert words[:at] + words[at + 2 :] == ["check", *asked]
    assert not (folder / "evil").exists()


def test_the_action_checks_and_leaves_its_report(
    folder: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    put(tmp_path / "bin", "onnxport", f'exec {sys.executable} -m toolkit "$@"')
    known = {"CONFIG": "onnxport.toml", "ARGS": "square --cases 2"}
    ran = run(STEPS["Check"]["run"], folder, {**environ, **known})
    assert ran.returncode == 1
    assert ran.stdout.startswith("model ")
    assert "::error file=model.py,line=9," in ran.stderr
    suites = ET.parse(Path(environ["RUNNER_TEMP"], "onnxport", "junit.xml")).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("1", "1")


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        ("onnxport.toml", True),
        ("models/parity.lock", True),
        ("models/m.int8.onnx", True),
        ("model.py", False),
        ("onnx.txt", False),
    ],
)
def test_the_hook_runs_where_a_contract_or_a_file_changed(path: str, runs: bool) -> None:
    assert bool(re.search(HOOK["files"], path)) == runs


def test_the_hook_checks_all_models_in_the_environment_at_hand(
    folder: Path, environ: dict[str, str]
) -> None:
    facts = (HOOK["id"], HOOK["language"], HOOK["pass_filenames"])
    assert facts == ("onnxport-check", "system", False)
    assert run(HOOK["entry"], folder, environ).stdout == "check\n"
