"""An original that never gets over special numbers ends, and is asked about them once only."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit import source
from toolkit.errors import InputError
from toolkit.interrupting import at_most
from toolkit.parity.cases import Case
from toolkit.parity.ending import ending
from toolkit.pipeline.references import reference_model


class Halving(nn.Module):
    """Infinity halved is infinity."""

    def forward(self, x: Tensor) -> Tensor:
        while x.abs().max() > 1:
            x = x / 2
        return x


SIGNATURE = "x: float32[n] in -inf..inf; where n = 1..4"


def case(fill: str) -> Case:
    return Case((("n", 2),), fill, 0)


def test_a_loop_is_ended_and_what_follows_is_not() -> None:
    with pytest.raises(TimeoutError, match="over"), at_most(0.2):
        Halving()(torch.tensor([float("inf")]))
    with at_most(5.0):
        pass
    time.sleep(0.01)


def test_what_the_block_raises_stays_what_it_is() -> None:
    with pytest.raises(KeyError), at_most(5.0):
        raise KeyError("x")


def test_a_kind_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.parity.ending.PATIENCE", 0.2)
    reference = reference_model(source.load((Halving(), SIGNATURE)))
    for _ in range(2):
        with (
            pytest.raises(InputError, match="comes to no end"),
            ending(reference, case("infinite"), 0.0),
        ):
            reference.expect(case("infinite").feeds(reference.signature, ()))
    assert reference.endless == ["infinite"]


def test_ordinary_numbers_may_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.parity.ending.PATIENCE", 0.01)
    reference = reference_model(source.load((Halving(), SIGNATURE)))
    with ending(reference, case("uniform"), 0.0):
        time.sleep(0.1)
    assert reference.endless == []


def test_it_exports_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("toolkit.parity.ending.PATIENCE", 0.5)
    exported = toolkit.export((Halving(), SIGNATURE), tmp_path / "m.onnx", budget=2.0)
    assert exported.report.holds
    assert any("comes to no end" in note for note in exported.report.notes)
