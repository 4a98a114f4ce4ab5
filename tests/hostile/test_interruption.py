"""Any stage may be interrupted: what was there before is there after, whole, or there is nothing.

Each command is started, stopped after a part of the time that it takes, and its folder looked at.
The delays are moments to strike, not measurements: whatever they hit, the property must hold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

import toolkit
from tests import models

MODEL = "zoo:cnn,size=8,filters=2"
COMMANDS = {
    "export": ["export", MODEL, "-o", "out.onnx", "--budget", "3s"],
    "simplify": ["simplify", "in.onnx", "-o", "out.onnx"],
    "quantize": ["quantize", "in.onnx", "-o", "out.onnx", "--budget", "2s"],
    "run": ["run", "in.onnx", "in.npy", "-o", "out.npz", "--batch", "1", "--device", "cpu"],
    "ship": ["ship", "tests.models:unsigned", "-o", "out", "--budget", "2s"],
}
INTERRUPTED = 130
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(toolkit.__file__).parents[1])}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inputs and an older output of every stage."""
    folder = tmp_path_factory.mktemp("old")
    toolkit.export(MODEL, folder / "in.onnx", budget=1.0)
    images = np.random.default_rng(0).random((3000, 1, 8, 8), np.float32)
    np.save(folder / "in.npy", images)
    toolkit.run(folder / "in.onnx", {"pixels": images[:5]}, folder / "out.npz", device="cpu")
    toolkit.ship(models.unsigned(), folder / "out", budget=0.5)
    (folder / "out.onnx").write_bytes((folder / "in.onnx").read_bytes())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.relative_to(folder).parts[0].startswith(".")
    }


def struck(folder: Path, command: list[str], number: int, after: float) -> int:
    """Start it, send the signal `after` seconds, and return how it ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "toolkit", *command],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        return process.wait(60)


def is_whole(folder: Path, name: str, old: dict[str, bytes]) -> bool:
    """The old output, none, or a finished new one."""
    now = contents(folder)
    if name == "out":
        mine = {n: b for n, b in now.items() if n.startswith("out/")}
        before = {n: b for n, b in old.items() if n.startswith("out/")}
        return mine in (before, {}) or {"out/model.onnx", "out/manifest.json"} <= mine.keys()
    if now.get(name) in (old.get(name), None):
        return True
    if name.endswith(".npz"):
        return bool(np.load(folder / name)["probabilities"].shape == (3000, 10))
    onnx.checker.check_model(str(folder / name), full_check=True)
    return True


def copied(prepared: Path, folder: Path) -> None:
    import shutil

    shutil.copytree(prepared, folder, dirs_exist_ok=True)


def check_interruption(
    prepared: Path, folder: Path, stage: str, number: signal.Signals, after: float
) -> int:
    copied(prepared, folder)
    command = COMMANDS[stage]
    output = command[command.index("-o") + 1]
    ended = struck(folder, command, number, after)
    assert is_whole(folder, output, contents(prepared))
    inputs = {n: b for n, b in contents(folder).items() if n.startswith("in.")}
    assert inputs.items() <= contents(prepared).items()
    return ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
@pytest.mark.parametrize("stage", COMMANDS)
def test_an_interrupted_stage_leaves_the_old_output_or_none(
    prepared: Path, tmp_path: Path, stage: str, number: signal.Signals
) -> None:
    check_interruption(prepared, tmp_path, stage, number, 3.0)


@pytest.mark.hostile
@pytest.mark.parametrize("after", [0.3, 1, 1.5, 2, 2.5, 3.5, 4, 5, 6, 7, 8, 10, 12, 15])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
@pytest.mark.parametrize("stage", COMMANDS)
def test_at_any_moment(
    prepared: Path, tmp_path: Path, stage: str, number: signal.Signals, after: float
) -> None:
    check_interruption(prepared, tmp_path, stage, number, after)


def test_ctrl_c_says_so_and_leaves_no_scratch_file(prepared: Path, tmp_path: Path) -> None:
    ended = check_interruption(prepared, tmp_path, "export", signal.SIGINT, 4.0)
    assert ended in (INTERRUPTED, 0)  # 0: it was done by then
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


LATE = """
import os, signal, sys
from toolkit.cli import main

class Last:  # goes when Python has handed its signal handlers back
    def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGINT):
        kill(me, number)

last = Last()
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["inspect", "no.onnx"], 3)])
def test_ctrl_c_after_the_end_does_not_change_how_it_ended(arguments: list[str], code: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LATE, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == code, ran.stderr


def test_what_a_killed_stage_left_is_removed_by_the_next(prepared: Path, tmp_path: Path) -> None:
    check_interruption(prepared, tmp_path, "export", signal.SIGKILL, 3.0)
    toolkit.export(MODEL, tmp_path / "out.onnx", budget=0.5)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_no_child_outlives_its_killed_parent(prepared: Path, tmp_path: Path) -> None:
    check_interruption(prepared, tmp_path, "quantize", signal.SIGKILL, 3.0)
    deadline = time.monotonic() + 30
    while _children_of(tmp_path) and time.monotonic() < deadline:
        os.sched_yield()
    assert _children_of(tmp_path) == []


def _children_of(folder: Path) -> list[str]:
    """Processes whose working folder this is (Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:  # it ended while we looked, or is another user's
            continue
    return found
