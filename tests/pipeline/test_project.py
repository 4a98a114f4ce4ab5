"""The models of a project: each checked in a process of its own, held against the lock."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import toolkit
from tests import graphs, projects
from toolkit.errors import UsageError
from toolkit.project.lock import read_lock
from toolkit.project.results import TIMINGS, ProjectReport


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProjectReport]:
    """A project of one file that holds and one that does not, after `--update`."""
    folder = tmp_path_factory.mktemp("project")
    config = projects.written(folder)
    return folder, toolkit.check_project(config, update=True, root=folder)


@pytest.fixture
def folder(checked: tuple[Path, ProjectReport], tmp_path: Path) -> Path:
    """A copy of it, with its lock."""
    return Path(shutil.copytree(checked[0], tmp_path / "copy"))


def test_every_model_has_a_verdict_and_the_worst_decides(
    checked: tuple[Path, ProjectReport],
) -> None:
    _, report = checked
    assert [(m.name, [s.outcome for s in m.stages]) for m in report.models] == [
        ("double", ["holds"]),
        ("square", ["differs"]),
    ]
    assert (report.exit_code, report.summary) == (1, "1 of 2 models hold")


def test_a_model_stands_where_its_source_is_defined(
    checked: tuple[Path, ProjectReport],
) -> None:
    place = checked[1].models[0].place
    assert place is not None
    assert (place.file, place.line) == ("model.py", 9)


def test_only_what_is_proven_is_locked(checked: tuple[Path, ProjectReport]) -> None:
    assert checked[1].notes == ("parity.lock: 1 of 2 models locked",)
    lock = json.loads((checked[0] / "parity.lock").read_text())
    assert list(lock["models"]) == ["double"]


def test_the_same_seed_gives_the_same_report_and_the_same_lock(
    checked: tuple[Path, ProjectReport], folder: Path
) -> None:
    again = toolkit.check_project(folder / "onnxport.toml", update=True, root=folder, jobs=1)
    first, second = (json.dumps(untimed(r.to_dict())) for r in (checked[1], again))
    assert first == second
    name = "parity.lock"
    assert (folder / name).read_bytes() == (checked[0] / name).read_bytes()


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMINGS}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def test_a_file_that_is_another_drifts_until_it_is_accepted(folder: Path) -> None:
    text = "(float[batch, 4] x) => (float[batch, 4] y) { two = Constant<value_float = 2.0>()\n"
    text += "y = Mul(x, two) }"
    graphs.saved(folder / "double.onnx", text, projects.SIGNATURE)
    report = toolkit.check_project(folder / "onnxport.toml", names=["double"])
    (stage,) = report.models[0].stages
    assert stage.outcome == "drifts"
    assert "neither source, weights nor versions changed" in stage.reason
    before = read_lock(folder / "parity.lock")
    assert toolkit.check_project(folder / "onnxport.toml", names=["double"], update=True).holds
    assert read_lock(folder / "parity.lock") != before


def test_a_broken_model_is_its_own_result_and_the_others_go_on(folder: Path) -> None:
    (folder / "kills.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    (folder / "onnxport.toml").write_text(
        projects.CONFIG.partition("[models.square]")[0]
        + '[models.gone]\nsource = "model.py:nothing"\nfile = "double.onnx"\n'
        + '[models.killed]\nsource = "kills.py:build"\nfile = "double.onnx"\n'
        + '[models.lookup]\nsource = "tests.models:lookup"\nexporters = "script"\n'
    )
    report = toolkit.check_project(folder / "onnxport.toml", update=True)
    assert [m.exit_code for m in report.models] == [0, 3, 5, 3]
    assert report.exit_code == 5
    failure = report.models[1].stages[0].failure
    assert failure is not None
    assert failure.message == "'model.py' has no 'nothing'"
    (stage,) = report.models[3].stages
    assert [(t.name, t.outcome) for t in stage.tried] == [("script", "refused")]
    assert stage.rerun == "onnxport export tests.models:lookup -o lookup.onnx"
    assert stage.failure is not None
    assert "log" not in stage.failure.hint


def test_a_device_that_does_not_work_here_is_said(folder: Path) -> None:
    report = toolkit.check_project(
        folder / "onnxport.toml", names=["double"], options={"devices": ("cpu", "nowhere")}
    )
    assert [s.exit_code for s in report.models[0].stages] == [0, 4]


def test_one_case_of_one_model_runs_again(folder: Path) -> None:
    config, case = folder / "onnxport.toml", "batch=3,fill=uniform,seed=1"
    report = toolkit.check_project(config, names=["square"], case=case)
    found = report.models[0].stages[0].report
    assert found is not None
    assert [str(r.case) for r in found.results] == [case]
    with pytest.raises(UsageError, match="a case is of one model"):
        toolkit.check_project(config, case=case)


def test_a_source_without_a_file_is_exported_through_its_stages(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef build():\n    torch.manual_seed(0)\n"
        "    return nn.Linear(4, 3).eval(), 'x: float32[batch, 4]; where batch = 1..4'\n"
    )
    config = tmp_path / "onnxport.toml"
    config.write_text(
        'budget = "1s"\n[models.m]\nsource = "model.py:build"\n'
        'stages = ["export", "simplify", "int8"]\nexporters = "torchscript"\n'
    )
    report = toolkit.check_project(config, update=True)
    stages = {s.stage: s for s in report.models[0].stages}
    assert [s.outcome for s in stages.values()] == ["holds", "left out", "holds"]
    assert [t.name for t in stages["export"].tried] == ["torchscript"]
    scheme = stages["int8"].scheme
    assert scheme in [t.name for t in stages["int8"].tried]
    again = toolkit.check_project(config, options={"stages": ("export", "int8")})
    assert again.holds, again.to_dict()
    assert [t.name for t in again.models[0].stages[-1].tried] == [scheme]
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "model.py",
        "onnxport.toml",
        "parity.lock",
    ]
