"""Bad input: two lines on stderr, the right exit code, no traceback, and nothing is lost."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Onnxport, Ran

HELD, DIFFERS, USAGE, INPUT, MISSING = 0, 1, 2, 3, 4


def assert_two_lines(ran: Ran, code: int, error: str, hint: str = "") -> None:
    assert ran.returncode == code, ran.stderr
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 2, ran.stderr
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint:  ")
    assert error in lines[0]
    assert hint in lines[1]


@pytest.mark.parametrize("command", ["inspect", "check", "simplify", "quantize", "bench"])
def test_a_missing_file(onnxport: Onnxport, command: str) -> None:
    options = ["-o", "out.onnx"] if command in ("simplify", "quantize") else []
    assert_two_lines(onnxport(command, "no.onnx", *options), INPUT, "'no.onnx' is not there")


@pytest.mark.parametrize("command", ["inspect", "simplify", "quantize"])
def test_a_truncated_file(onnxport: Onnxport, model: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "half.onnx").write_bytes(model.read_bytes()[:-400])
    options = ["-o", "out.onnx"] if command != "inspect" else []
    ran = onnxport(command, "half.onnx", *options)
    assert_two_lines(ran, INPUT, "'half.onnx' cannot be read as ONNX", "is it truncated")


def save(path: Path, **arrays: np.ndarray) -> None:
    np.savez(path / "in.npz", **arrays)  # type: ignore[arg-type]  # one might be allow_pickle


IMAGES = np.zeros((3, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arrays", "error", "hint"),
    [
        pytest.param(
            {"pixels": IMAGES.astype(np.float64)},
            "input 'pixels' is float64, expected float32",
            "convert with x.astype('float32')",
            id="wrong dtype",
        ),
        pytest.param(
            {"pixels": IMAGES[0, 0]},
            "input 'pixels' has shape [8, 8], expected [batch, 1, 8, 8]",
            "it has 2 dimensions, the signature 4",
            id="wrong rank",
        ),
        pytest.param(
            {"pixels": IMAGES.transpose(0, 2, 3, 1)},
            "input 'pixels' has shape [3, 8, 8, 1], expected [batch, 1, 8, 8]",
            "transpose with x.transpose(0, 3, 1, 2)",
            id="channels last",
        ),
        pytest.param(
            {"images": IMAGES}, "there is no input 'images'", "inputs are: pixels", id="unknown"
        ),
        pytest.param(
            {"pixels": IMAGES + 2},
            "input 'pixels' holds 2.0, expected 0..1",
            "scale or clip",
            id="value out of range",
        ),
        pytest.param(
            {"pixels": IMAGES * np.nan}, "input 'pixels' holds nan, expected 0..1", "", id="nan"
        ),
        pytest.param(
            {"pixels": IMAGES.astype(object)},
            "is not an array file",
            "without objects",
            id="pickle",
        ),
    ],
)
def test_data_that_does_not_fit(
    onnxport: Onnxport,
    model: Path,
    tmp_path: Path,
    arrays: dict[str, np.ndarray],
    error: str,
    hint: str,
) -> None:
    save(tmp_path, **arrays)
    (tmp_path / "out.npz").write_text("old")
    assert_two_lines(onnxport("run", model, "in.npz", "-o", "out.npz"), INPUT, error, hint)
    assert (tmp_path / "out.npz").read_text() == "old"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["inspect", "m.onnx", "--jsn"], "No such option"),
        (["inspekt", "m.onnx"], "No such command 'inspekt'"),
        (["check", "m.onnx", "--budget", "soon"], "'soon' is not a duration"),
        (["run", "m.onnx", "x.npy", "-o", "y.npy", "--device", "tpu"], "'tpu' is not one of"),
        (["export", "zoo:cnn"], "Missing option '-o' / '--out'"),
        (["export", "zoo:cnn", "-o", "m.onnx", "--exporter", "fax"], "there is no exporter 'fax'"),
        (
            ["quantize", "m.onnx", "-o", "q.onnx", "--memory-limit", "lots"],
            "not an amount of memory",
        ),
        (["bench"], "Missing argument"),
    ],
)
def test_a_wrong_call(onnxport: Onnxport, arguments: list[str], error: str) -> None:
    assert_two_lines(onnxport(*arguments), USAGE, error)


@pytest.mark.parametrize(
    ("source", "error", "hint"),
    [
        ("zoo:cmm", "the zoo has no 'cmm'", "it has: alexnet"),
        ("zoo:cnn,sise=8", "zoo:cnn has no argument 'sise'", "channels, size"),
        ("nowhere.py:model", "there is no file 'nowhere.py'", "check the path"),
        ("broken.py:model", "importing 'broken.py' raised ZeroDivisionError", "broken.py line 1"),
        ("plain.py:modle", "'plain.py' has no 'modle'", "it has: "),
        ("plain.py:model", "'plain.py:model' has no signature", "--signature"),
        ("plain.py:number", "'plain.py:number' is a int, not a model", "name an nn.Module"),
        ("no.such.package:model", "there is no module 'no.such.package'", "is it installed"),
        ("model", "'model' does not name a model", "file.py:attribute"),
        ("lost.pt2", "there is no file 'lost.pt2'", "check the path"),
    ],
)
def test_a_source_that_cannot_be_loaded(
    onnxport: Onnxport, tmp_path: Path, source: str, error: str, hint: str
) -> None:
    (tmp_path / "broken.py").write_text("model = 1 / 0\n")
    (tmp_path / "plain.py").write_text(
        "from torch import nn\nmodel = nn.Linear(2, 2)\nnumber = 7\n"
    )
    assert_two_lines(onnxport("export", source, "-o", "m.onnx"), INPUT, error, hint)
    assert not (tmp_path / "m.onnx").exists()


def test_a_folder_that_does_not_exist(onnxport: Onnxport) -> None:
    ran = onnxport("export", "zoo:cnn", "-o", "no/m.onnx")
    assert_two_lines(ran, INPUT, "folder 'no' does not exist", "create it")


@pytest.mark.skipif(
    not Path("/proc/version").exists(), reason="Linux: not even root may write there"
)
def test_an_unwritable_folder(onnxport: Onnxport) -> None:
    ran = onnxport("export", "zoo:cnn", "-o", "/proc/m.onnx")
    assert_two_lines(ran, INPUT, "folder '/proc'", "name an output elsewhere")


def test_a_device_that_this_machine_lacks_never_falls_back(
    onnxport: Onnxport, model: Path, pixels: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: see tests/gpu")
    ran = onnxport("run", model, pixels, "-o", "p.npz", "--device", "cuda")
    assert_two_lines(ran, MISSING, "")


def test_a_model_that_no_exporter_gets_right(onnxport: Onnxport, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(
        "from torch import nn\n"
        "class Lookup(nn.Module):\n"
        "    signature = 'x: float32[batch, 4]; where batch = 1..16'\n"
        "    def forward(self, x):\n"
        "        return x * {5: 2.0}.get(int(x.shape[0]), 3.0)\n"
        "model = Lookup()\n"
    )
    ran = onnxport("export", "m.py:model", "-o", "m.onnx")
    assert ran.returncode == DIFFERS
    last = ran.stderr.splitlines()[-1]
    assert "holds for 5 (m.py line 5: return x * {5: 2.0}.get(int(x.shape[0]), 3.0))" in last
    assert "it holds for: x: float32[batch, 4]; where batch = 5..5" in last
    assert last.endswith("all of it is in m.onnx.log")
    assert "Traceback" not in ran.stderr


def test_traceback_is_shown_on_demand(onnxport: Onnxport) -> None:
    ran = onnxport("--traceback", "inspect", "no.onnx")
    assert ran.stderr.startswith("Traceback")
    assert ran.returncode == INPUT
