"""Every command on a real file: what it prints where, and how it ends."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.cli.conftest import Onnxport

COMMANDS = [
    *("ship", "export", "simplify", "quantize", "check", "run", "generate", "bench", "inspect"),
    *("zoo", "doctor"),
]


def test_help_lists_every_command(onnxport: Onnxport) -> None:
    ran = onnxport("--help")
    listed = [line.split()[0] for line in ran.stdout.partition("Commands:")[2].splitlines() if line]
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(onnxport: Onnxport, command: str) -> None:
    ran = onnxport(command, "--help")
    assert ran.returncode == 0
    assert ran.stdout.startswith("Usage: ")


def test_export_prints_the_path_and_nothing_else_on_stdout(onnxport: Onnxport) -> None:
    ran = onnxport("export", "zoo:cnn,size=8,filters=2", "-o", "m.onnx", "--budget", "1s")
    assert (ran.returncode, ran.stdout) == (0, "m.onnx\n")
    assert ran.stderr.startswith("export    onnxport: holds on ")
    assert len(ran.stderr.splitlines()) == 1


def test_export_proposes_a_signature_from_example_inputs(
    onnxport: Onnxport, tmp_path: Path
) -> None:
    (tmp_path / "m.py").write_text("from torch import nn\nmodel = nn.Linear(4, 3).eval()\n")
    np.savez(tmp_path / "x.npz", input=np.ones((2, 4), np.float32))
    options = ["--example-inputs", "x.npz", "-o", "m.onnx", "--budget", "1s"]
    ran = onnxport("export", "m.py:model", *options)
    assert (ran.returncode, ran.stdout) == (0, "m.onnx\n")
    assert "input: float32[batch, 4]\nwhere batch = 1..64" in ran.stderr
    assert "'input' has 4 in axis 1 only" in ran.stderr


def test_check_says_what_the_verdict_rests_on(onnxport: Onnxport, model: Path) -> None:
    ran = onnxport("check", model)
    assert ran.returncode == 0
    assert ran.stdout.startswith("cnn.onnx holds against zoo:cnn,size=8,filters=2 on cpu\n")
    assert "  holds at  batch 1..64\n" in ran.stdout


def test_each_pair_of_several_subjects_is_a_case_of_junit(
    onnxport: Onnxport, model: Path, tmp_path: Path
) -> None:
    source = "zoo:cnn,size=8,filters=2"
    ran = onnxport("check", model, source, model, "--budget", "900ms", "--junit", "j.xml")
    assert ran.returncode == 0, ran.stderr
    suites = ElementTree.parse(tmp_path / "j.xml").getroot().iter("testsuite")
    assert [s.get("name") for s in suites] == [
        f"cnn.onnx against {source}",
        "cnn.onnx against cnn.onnx",
        f"cnn.onnx against {source}",
    ]


def test_a_failing_check_prints_the_command_that_reruns_its_case(
    onnxport: Onnxport, model: Path
) -> None:
    ran = onnxport("check", model, "--against", "zoo:cnn,size=8,filters=2", "--atol", "1e-12")
    assert ran.returncode == 1
    assert "DIFFERS" in ran.stdout
    (rerun,) = (line for line in ran.stdout.splitlines() if "rerun" in line)
    again = onnxport(*rerun.split()[2:])
    assert again.returncode == 1
    assert "1 of 1 cases" in again.stdout


@pytest.mark.parametrize("command", ["check", "bench", "inspect"])
def test_json_is_all_that_json_prints(onnxport: Onnxport, model: Path, command: str) -> None:
    options = [] if command == "inspect" else ["--budget", "1s"]
    ran = onnxport(command, model, *options, "--json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)
    assert ran.stderr == ""


def test_doctor_lists_versions_and_runtimes(onnxport: Onnxport) -> None:
    found = json.loads(onnxport("doctor", "--json").stdout)
    assert {"torch", "onnx", "numpy", "python"} <= set(found["versions"])
    assert "cpu" in found["devices"]["onnxruntime"]


def test_simplify_quantize_and_bench_work_on_a_file(onnxport: Onnxport, model: Path) -> None:
    assert onnxport("simplify", model, "-o", "s.onnx").returncode == 0
    quantized = onnxport("quantize", model, "-o", "q.onnx", "--scheme", "static", "--budget", "1s")
    assert (quantized.returncode, quantized.stdout) == (0, "q.onnx\n")
    timed = onnxport("bench", model, "q.onnx", "--size", "batch=4", "--budget", "500ms")
    assert [line.split()[0] for line in timed.stdout.splitlines()] == ["size", "batch", "batch"]


def test_run_reads_and_writes_arrays(onnxport: Onnxport, model: Path, pixels: Path) -> None:
    ran = onnxport("run", model, pixels, "-o", "out.npz", "--device", "cpu")
    assert (ran.returncode, ran.stdout) == (0, "out.npz: probabilities [40, 10]\n")
    probabilities = np.load(pixels.parent / "out.npz")["probabilities"]
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_a_pipe_gets_no_progress_bar(onnxport: Onnxport, model: Path, pixels: Path) -> None:
    ran = onnxport("run", model, pixels, "-o", "out.npz", "--batch", "1", "--device", "cpu")
    assert "\x1b" not in ran.stdout + ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_terminal_gets_one(model: Path, pixels: Path, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = ["run", str(model), str(pixels), "-o", "out.npz", "--batch", "1", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "toolkit", *command],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": os.getcwd()},
    ):
        os.close(terminal)
        shown = b""
        while chunk := _read(controller):
            shown += chunk
    os.close(controller)
    assert b"40 rows" in shown
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}".encode() in shown  # rich's bar
    assert b"\x1b[?25h" in shown  # the cursor is back


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says EIO where the other end is closed
        return b""


def test_inspect_shows_the_signature_line_by_line(onnxport: Onnxport, model: Path) -> None:
    shown = onnxport("inspect", model).stdout
    assert "signature pixels: float32[batch, 1, 8, 8] in 0..1\n" in shown
    assert "          where batch = 1..64\n" in shown


def test_ship_makes_a_bundle_and_run_takes_it(onnxport: Onnxport, tmp_path: Path) -> None:
    ran = onnxport("ship", "tests.models:unsigned", "-o", "b", "--budget", "1s")
    assert ran.returncode == 0, ran.stderr
    assert {"model.onnx", "manifest.json"} <= {p.name for p in (tmp_path / "b").iterdir()}
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.uint8).reshape(10, 4))
    assert onnxport("run", "b", "x.npy", "-o", "y.npz", "--device", "cpu").returncode == 0
    assert np.load(tmp_path / "y.npz")["output_1"][0].tolist() == [3, 2, 1, 0]
