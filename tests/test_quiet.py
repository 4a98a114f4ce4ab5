"""What libraries print goes to a log, whichever way they print it; then the terminal is back."""

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: pytest puts its own streams in the place of the terminal's.
SCRIPT = """
import os, sys
from contextlib import suppress
from pathlib import Path
from toolkit.quiet import printing_to

print("before", os.dup(1))
os.close(3)
with suppress(ZeroDivisionError), printing_to(Path(sys.argv[1])):
    {inside}
print("after", os.dup(1), flush=True)
os.write(1, b"natively\\n")
os.write(2, b"an error\\n")
"""


def run(log: Path, inside: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT.format(inside=inside), str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "inside",
    [
        "print('hello')",
        "print('hello', file=sys.stderr)",
        "os.write(1, b'hello\\n')",
        "os.write(2, b'hello\\n')",
        "os.system('echo hello')",
        "print('hello'); 1 / 0",
    ],
)
def test_everything_printed_inside_is_in_the_log(tmp_path: Path, inside: str) -> None:
    run(tmp_path / "log", inside)
    assert (tmp_path / "log").read_text() == "hello\n"


@pytest.mark.parametrize("inside", ["print('hello')", "os.write(2, b'hello\\n')", "1 / 0"])
def test_descriptors_are_restored_and_none_is_left_open(tmp_path: Path, inside: str) -> None:
    ran = run(tmp_path / "log", inside)
    assert ran.stdout == "before 3\nafter 3\nnatively\n"
    assert ran.stderr == "an error\n"


def test_a_log_is_continued(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("earlier\n")
    run(tmp_path / "log", "print('hello')")
    assert (tmp_path / "log").read_text() == "earlier\nhello\n"
