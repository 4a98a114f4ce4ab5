"""The command line as a user meets it: a process, its two streams, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import toolkit

Ran = subprocess.CompletedProcess[str]
Onnxport = Callable[..., Ran]


@pytest.fixture
def onnxport(tmp_path: Path) -> Onnxport:
    """Run the command in an empty folder: `onnxport("inspect", "m.onnx")`."""

    def run(*arguments: object) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "toolkit", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(toolkit.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of ours: pixels float32[batch, 1, 8, 8] in 0..1."""
    path = tmp_path_factory.mktemp("cli") / "cnn.onnx"
    toolkit.export("zoo:cnn,size=8,filters=2", path, budget=1.0)
    return path


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    """Forty images that fit it."""
    path = tmp_path / "pixels.npy"
    np.save(path, np.random.default_rng(0).random((40, 1, 8, 8), np.float32))
    return path
