"""The portfolio: exporters in turn, each in a process of its own, until a file holds."""

import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import nn

import toolkit
from exporters.dynamo import Dynamo
from exporters.torchscript import TorchScript
from tests import models
from toolkit import plugins
from toolkit.errors import ExportRefused, InputError, NotLoadable, ParityError, UsageError
from toolkit.model import LoadedModel
from toolkit.pipeline.portfolio import DEFAULT_ORDER, default_order
from toolkit.plugins import Traced
from toolkit.progress import Listener


class Exporter:
    """One that does what it is given, in place of an installed one."""

    def __init__(self, name: str, does: Callable[..., Traced | None]) -> None:
        self.name, self.export = name, does


def _crash(model: LoadedModel, path: Path, *, opset: int) -> None:
    ctypes.string_at(0)


def _hang(model: LoadedModel, path: Path, *, opset: int) -> None:
    time.sleep(600)


def _refuse(model: LoadedModel, path: Path, *, opset: int) -> None:
    raise ExportRefused("it is Tuesday", "wait")


def _good(model: LoadedModel, path: Path, *, opset: int) -> Traced:
    TorchScript().export(model, path, opset=opset)
    return Traced({"batch": [6, 7]})


def _only_at_18(model: LoadedModel, path: Path, *, opset: int) -> None:
    if opset != 18:
        raise NotLoadable("no kernel", "")
    TorchScript().export(model, path, opset=opset)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    known: dict[str, Callable[..., Any]] = {}
    monkeypatch.setattr(plugins, "exporter", lambda name: Exporter(name, known[name]))
    return known


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (_crash, r"^the exporter 'bad' crashed \(SIGSEGV\)"),
        (_hang, "^the exporter 'bad' took longer than 3 s"),
        (_refuse, "^it is Tuesday"),
    ],
    ids=["crash", "hang", "refusal"],
)
def test_one_that_fails_is_a_line_and_the_next_is_tried(
    does: Callable[..., Any],
    reason: str,
    installed: dict[str, Callable[..., Any]],
    tmp_path: Path,
) -> None:
    installed.update(bad=does, good=_good)
    exported = toolkit.export(
        models.linear(), tmp_path / "m.onnx", exporters=["bad", "good"], time_limit=3.0, budget=1.0
    )
    bad, good = exported.attempts
    assert (bad.outcome, good.outcome) == ("refused", "holds")
    assert re.match(reason, bad.reason)
    assert exported.artifact.provenance.exporter == "good"


def test_the_same_program_is_not_traced_again_for_finer_arithmetic(
    installed: dict[str, Callable[..., Any]], tmp_path: Path
) -> None:
    installed.update({"onnxport": _refuse, "onnxport-precise": _hang, "good": _good})
    exported = toolkit.export(
        models.linear(),
        tmp_path / "m.onnx",
        exporters=["onnxport", "onnxport-precise", "good"],
        budget=1.0,
    )
    assert [a.exporter for a in exported.attempts] == ["onnxport", "good"]


def test_sizes_at_which_the_model_decides_are_in_the_file_and_are_cases(
    installed: dict[str, Callable[..., Any]], tmp_path: Path
) -> None:
    installed.update(good=_good)
    exported = toolkit.export(models.linear(), tmp_path / "m.onnx", exporters=["good"], budget=30.0)
    assert exported.artifact.provenance.boundaries == {"batch": [6, 7]}
    first = [dict(r.case.sizes)["batch"] for r in exported.report.results[:5]]
    assert {6, 7} <= set(first)


def test_another_opset_is_tried_where_the_runtime_cannot_load_the_file(
    installed: dict[str, Callable[..., Any]], tmp_path: Path
) -> None:
    installed.update(fussy=_only_at_18)
    exported = toolkit.export(models.linear(), tmp_path / "m.onnx", exporters=["fussy"], budget=1.0)
    assert [(a.opset, a.outcome) for a in exported.attempts] == [(20, "refused"), (18, "holds")]


class Heard(Listener):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_every_tries_all_and_takes_the_fastest_that_holds(
    installed: dict[str, Callable[..., Any]], tmp_path: Path
) -> None:
    installed.update(good=_good, bad=_refuse, dynamo=Dynamo().export)
    heard = Heard()
    exported = toolkit.export(
        models.linear(),
        tmp_path / "m.onnx",
        exporters=["good", "bad", "dynamo"],
        every=True,
        budget=1.0,
        listener=heard,
    )
    assert [a.outcome for a in exported.attempts] == ["holds", "refused", "holds"]
    assert exported.artifact.provenance.exporter in ("good", "dynamo")
    assert heard.said[-2] == "good: 1.00x the time of good"


def test_a_refusal_offers_the_narrower_signature_that_holds(tmp_path: Path) -> None:
    with pytest.raises((InputError, ParityError)) as caught:
        toolkit.export(models.branch(), tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    offered = caught.value.hint.partition("it holds for: ")[2].partition("; all of it")[0]
    assert offered == "x: float32[batch, 4]; where batch = 4..16"
    model = models.branch()[0]
    toolkit.export((model, offered), tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)


@pytest.mark.parametrize(
    ("target", "opset", "ir_version"),
    [("onnxruntime==1.16", 19, 9), ("onnxruntime==1.20", 20, 10), ("", 20, 10)],
)
def test_the_file_is_no_newer_than_its_target_loads(
    target: str, opset: int, ir_version: int, tmp_path: Path
) -> None:
    toolkit.export(
        models.linear(), tmp_path / "m.onnx", exporters=["dynamo"], target=target, budget=1.0
    )
    found = onnx.load(str(tmp_path / "m.onnx"))
    assert [o.version for o in found.opset_import] == [opset]
    assert found.ir_version <= ir_version


def test_an_opset_that_the_target_does_not_load_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"onnxruntime 1\.16 loads opset 19 at most, not 20"):
        toolkit.export(models.linear(), tmp_path / "m.onnx", target="onnxruntime==1.16", opset=20)


def test_a_second_export_of_the_same_model_is_not_made_again(tmp_path: Path) -> None:
    first = toolkit.export("zoo:mlp", tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    content = (tmp_path / "m.onnx").read_bytes()
    again = toolkit.export("zoo:mlp", tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.summary == (
        f"dynamo: unchanged, as are the model, code and versions; it {first.report.summary}"
    )
    assert (tmp_path / "m.onnx").read_bytes() == content
    assert again.report.holds  # checked when it is asked for


def test_a_file_that_somebody_edited_is_exported_again(tmp_path: Path) -> None:
    toolkit.export(models.linear(), tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    edited = onnx.load(str(tmp_path / "m.onnx"))
    edited.graph.initializer[0].raw_data = bytes(len(edited.graph.initializer[0].raw_data))
    onnx.save(edited, str(tmp_path / "m.onnx"))
    again = toolkit.export(models.linear(), tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    assert not again.unchanged
    assert toolkit.check(tmp_path / "m.onnx", against=models.linear(), budget=1.0).holds


def test_a_model_with_another_weight_is_exported_again(tmp_path: Path) -> None:
    made = models.linear()
    toolkit.export(made, tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    assert isinstance(made[0], nn.Linear)
    made[0].bias.data[0] += 1
    again = toolkit.export(made, tmp_path / "m.onnx", exporters=["dynamo"], budget=1.0)
    assert not again.unchanged


def test_ours_is_tried_first_and_all_that_is_installed_is_tried() -> None:
    found = default_order()
    assert found[0] == "onnxport"
    assert set(found) == set(plugins.names(plugins.EXPORTERS)) >= set(DEFAULT_ORDER[:4])
