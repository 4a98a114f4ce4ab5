"""Exporters and runtimes are found by entry point, and missing ones are explained."""

from importlib.metadata import EntryPoint

import pytest

from toolkit import plugins
from toolkit.errors import MissingError, UsageError
from toolkit.plugins import EXPORTERS, RUNTIMES, Availability


def test_the_exporters_and_runtimes_of_this_project_are_installed() -> None:
    assert {"dynamo", "torchscript"} <= set(plugins.names(EXPORTERS))
    assert {"onnxruntime", "pytorch", "reference"} <= set(plugins.names(RUNTIMES))


@pytest.mark.parametrize("name", sorted(plugins.names(EXPORTERS)))
def test_an_exporter_goes_by_the_name_of_its_entry_point(name: str) -> None:
    assert plugins.exporter(name).name == name


@pytest.mark.parametrize("name", sorted(plugins.names(RUNTIMES)))
def test_a_runtime_goes_by_the_name_of_its_entry_point(name: str) -> None:
    assert plugins.runtime(name).name == name


def test_an_unknown_name_is_answered_with_those_installed() -> None:
    with pytest.raises(UsageError, match="there is no exporter 'fax'") as caught:
        plugins.exporter("fax")
    assert "dynamo" in caught.value.hint


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "nothing is installed in the entry-point group 'onnxport.runtimes'"),
        (
            {"tpu": EntryPoint("tpu", "no_such_package:Runtime", RUNTIMES)},
            "'tpu' needs the package 'no_such_package'",
        ),
    ],
)
def test_what_is_not_installed_comes_with_a_cure(
    monkeypatch: pytest.MonkeyPatch, entries: dict[str, EntryPoint], message: str
) -> None:
    monkeypatch.setattr(plugins, "_entries", lambda _: entries)
    with pytest.raises(MissingError, match=message) as caught:
        plugins.runtime("tpu")
    assert "pip install" in caught.value.hint


HERE = Availability(("cuda", "cpu"), {"tensorrt": ("TensorRT is not installed", "pip install it")})


@pytest.mark.parametrize(("asked", "given"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_a_device_that_works_is_given_and_auto_is_the_best(asked: str, given: str) -> None:
    assert HERE.require(asked) == given


@pytest.mark.parametrize(
    ("device", "message", "cure"),
    [
        ("tensorrt", "TensorRT is not installed", "pip install it"),
        ("tpu", "there is no device 'tpu'", "devices that work here: cuda, cpu"),
    ],
)
def test_a_device_that_does_not_work_is_refused_with_the_cure(
    device: str, message: str, cure: str
) -> None:
    with pytest.raises(MissingError) as caught:
        HERE.require(device)
    assert (caught.value.message, caught.value.hint) == (message, cure)
