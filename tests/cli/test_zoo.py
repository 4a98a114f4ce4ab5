"""`onnxport zoo`: what there is, and whether it ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

import toolkit
from tests.cli.conftest import Onnxport, Ran
from toolkit import cli, zoo
from toolkit.errors import ParityError

SMALL = "cnn,size=8,filters=2"


def listed(shown: str) -> list[str]:
    """The names: what stands at the beginning of a line."""
    return [line.split()[0] for line in shown.splitlines() if not line.startswith(" ")]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran_in(tmp_path_factory.mktemp("zoo"), "zoo")


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran_in(tmp_path_factory.mktemp("verify"), "zoo", "--verify", SMALL, "--budget", "300ms")


def ran_in(folder: Path, *arguments: str) -> Ran:
    """As the fixture `onnxport` does, for what several tests look at."""
    return subprocess.run(
        [sys.executable, "-m", "toolkit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(toolkit.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_architectures_are_listed(everything: Ran) -> None:
    assert (everything.returncode, everything.stderr) == (0, "")
    assert listed(everything.stdout) == list(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_a_line_says_what_an_architecture_is(everything: Ran, name: str) -> None:
    (line,) = (text for text in everything.stdout.splitlines() if text.startswith(f"{name} "))
    assert line.split(maxsplit=1) == [name, zoo.describe(name).title]


def test_below_it_stands_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["zoo", "cnn"])
    _, parameters, *signature = capsys.readouterr().out.splitlines()
    assert parameters.split() == ["63,050", "parameters"]
    assert [line.strip() for line in signature] == [
        "pixels: float32[batch, 1, 28, 28] in 0..1",
        "where batch = 1..64",
    ]


def test_the_graphs_of_an_architecture_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["zoo", "gpt", "transformer"])
    shown = capsys.readouterr().out
    assert listed(shown) == ["gpt", "transformer"]
    (line,) = (text for text in shown.splitlines() if "run as" in text)
    assert line.endswith("7,626,752 parameters, run as encoder and decoder")


def test_json_is_all_that_json_prints(onnxport: Onnxport) -> None:
    ran = onnxport("zoo", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = {entry["name"]: entry for entry in json.loads(ran.stdout)}
    assert list(found) == list(zoo.names())
    assert found["gpt"]["parts"] == ["decoder"]
    assert found["cnn"]["signature"][0] == "pixels: float32[batch, 1, 28, 28] in 0..1"


def test_an_unknown_name_is_two_lines(onnxport: Onnxport) -> None:
    ran = onnxport("zoo", "nosuch")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.splitlines() == [
        "error: the zoo has no 'nosuch'",
        "hint:  it has: " + ", ".join(zoo.names()),
    ]


def test_an_architecture_that_ships_is_a_row_of_the_table(verified: Ran) -> None:
    assert verified.returncode == 0, verified.stderr
    head, row = verified.stdout.splitlines()
    assert head.split()[:4] == ["architecture", "exporter", "holds", "at"]
    assert row.split()[:3] == [SMALL, "onnxport", "batch"]


def test_the_stages_are_told_on_the_way(verified: Ran) -> None:
    stages = [line.split()[0] for line in verified.stderr.splitlines() if line[0] != " "]
    assert stages == ["load", "export", "simplify", "quantize", "quantize", "bundle"]


@pytest.fixture
def differing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture that no exporter gets right: there is none, so `ship` is made to say so."""

    def ship(*_: object, **__: object) -> NoReturn:
        raise ParityError("no file that holds", "dynamo differs [at batch = 1]")

    monkeypatch.setattr("toolkit.pipeline.zoo.ship", ship)


def ended(*arguments: str) -> Any:
    """The exit code of the command line in this process."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    return caught.value.code


@pytest.mark.usefixtures("differing")
def test_an_architecture_that_fails_is_a_row_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("zoo", "--verify", SMALL, "mlp") == 1
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.rstrip().split(maxsplit=2) for row in rows] == [
        [SMALL, "FAILS", "no file that holds"],
        ["mlp", "FAILS", "no file that holds"],
    ]


@pytest.mark.usefixtures("differing")
def test_json_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("zoo", "--verify", "mlp", "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["problem"], row["time"]) == ("mlp", "no file that holds", None)
