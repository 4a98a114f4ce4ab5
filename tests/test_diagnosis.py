"""What the machine has and lacks, and how to mend it."""

import sys

import pytest

from toolkit import diagnosis, plugins
from toolkit.diagnosis import Problem, doctor
from toolkit.errors import MissingError
from toolkit.plugins import Availability

MEND = "pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"


class Broken:
    """A runtime whose library fails when it is asked for its devices."""

    def availability(self) -> Availability:
        raise MissingError("its library is damaged", "install it again")


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> tuple[Problem, ...]:
    """The problems where these wheels are registered and no others."""
    monkeypatch.setattr(diagnosis, "_version", lambda n: versions.get(n.replace("-", "_"), ""))
    monkeypatch.setattr(plugins, "names", lambda _: ())
    return doctor().problems


def test_this_machine_runs_every_runtime_on_the_cpu() -> None:
    assert {n for n, d in doctor().devices.items() if "cpu" in d} == set(
        plugins.names(plugins.RUNTIMES)
    )


def test_the_versions_that_results_depend_on_are_listed() -> None:
    assert {"python", "onnxport", "torch", "onnx", "numpy"} <= doctor().versions.keys()


def test_a_device_that_is_lacking_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Availability(("cpu",), {"cuda": ("no NVIDIA driver", "install one")})
    runtime = type("Runtime", (), {"availability": lambda _: here})
    monkeypatch.setattr(plugins, "names", lambda _: ("onnxruntime",))
    monkeypatch.setattr(plugins, "runtime", lambda _: runtime())
    found = doctor()
    assert found.lacking == {"onnxruntime on cuda": ("no NVIDIA driver", "install one")}
    assert found.exit_code == 0


def test_a_runtime_that_does_not_load_is_a_problem_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugins, "names", lambda _: ("broken",))
    monkeypatch.setattr(plugins, "runtime", lambda _: Broken())
    found = doctor()
    assert [p.cure for p in found.problems] == ["install it again"]
    assert "runtime 'broken' does not load: its library is damaged" in found.problems[0].what
    assert found.exit_code == 4


@pytest.mark.parametrize(
    "versions", [{"onnxruntime": "1.31.0"}, {"onnxruntime_gpu": "1.31.0"}], ids=["cpu", "gpu"]
)
def test_one_wheel_of_the_runtime_is_well(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]
) -> None:
    assert installed(monkeypatch, **versions) == ()


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        pytest.param(
            {},
            Problem("ONNX Runtime is not installed", "pip install onnxruntime-gpu"),
            id="none",
        ),
        pytest.param(
            {"onnxruntime": "1.30.0", "onnxruntime_gpu": "1.31.0"},
            Problem(
                "onnxruntime 1.30.0 and onnxruntime-gpu 1.31.0 overwrite each other's files", MEND
            ),
            id="both",
        ),
    ],
)
def test_wheels_that_are_missing_or_in_conflict_are_found(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], problem: Problem
) -> None:
    assert installed(monkeypatch, **versions) == (problem,)


def test_a_wheel_whose_files_are_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What uninstalling one of two wheels leaves: registered, and nothing there."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    gone = Problem("onnxruntime-gpu is registered but its files are gone", MEND)
    assert installed(monkeypatch, onnxruntime_gpu="1.31.0") == (gone,)
