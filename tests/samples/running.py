"""Runs a sample as its reader would: a script in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_sample(script: str, *options: str | Path) -> str:
    """What it printed on stdout. Fails with what it printed on stderr."""
    done = subprocess.run(
        [sys.executable, ROOT / "samples" / script, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
