"""CUDA: what was asked for is what runs, and it holds against eager PyTorch on the CPU."""

from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests import models
from tests.pipeline.conftest import INTACT
from toolkit.pipeline.zoo import verify

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", INTACT)
def test_the_same_file_holds_on_cuda(name: str, tmp_path: Path) -> None:
    made = INTACT[name]()
    toolkit.export(made, tmp_path / "m.onnx", budget=3.0)
    report = toolkit.check(tmp_path / "m.onnx", against=made[0], device="cuda", limit=32)
    assert report.device == "cuda"
    assert report.holds, report.reason


def test_the_report_says_what_tf32_would_cost() -> None:
    """Products of 10 bits are off by thousands of times float32's own error."""
    made = models.linear()
    report = toolkit.check(
        made[0], against=made[0], signature=made[1], device="cuda", against_device="cuda", limit=8
    )
    assert report.holds, report.reason
    told = {r.way: r.ratio for r in report.repeated}
    assert told["with TF32"] > 8


def test_auto_takes_the_gpu(tmp_path: Path) -> None:
    toolkit.export(models.linear(), tmp_path / "m.onnx", budget=1.0)
    session = toolkit.load(tmp_path / "m.onnx")
    assert session.device == "cuda"
    assert session.run({"x": np.zeros((2, 4), np.float32)})["output"].shape == (2, 3)


def test_bench_runs_both_sides_on_the_gpu(tmp_path: Path) -> None:
    toolkit.export(models.linear(), tmp_path / "m.onnx", budget=1.0)
    timings = toolkit.bench(models.linear(), tmp_path / "m.onnx", device="cuda", budget=0.5)
    assert {t.subject for t in timings} == {"Linear", str(tmp_path / "m.onnx")}


@pytest.mark.parametrize(
    "source",
    [
        "zoo:gpt,vocabulary=40,width=16,layers=2,heads=2,positions=16",
        "zoo:encoder_decoder,sources=30,targets=20,embedding=6,hidden=8,longest=9",
    ],
)
def test_a_sequence_model_writes_on_the_gpu_what_pytorch_writes(
    source: str, tmp_path: Path
) -> None:
    bundle = toolkit.ship_sequence(source, tmp_path / "bundle", device="cuda", budget=3.0)
    assert all(part.exported.report.device == "cuda" for part in bundle.parts.values())
    assert {w.subject: w.equal for w in bundle.writings}["float32"] == bundle.writings[0].rows


def test_every_architecture_ships_on_the_gpu() -> None:
    small = ("cnn,size=8", "lstm,steps=8", "mlp", "autoencoder", "vae", "resnet,depth=18,width=8")
    rows = list(verify(small, device="cuda", budget=3.0))
    assert [(row.name, row.problem) for row in rows] == [(name, "") for name in small]
