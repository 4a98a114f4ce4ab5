"""What is not needed is not imported: the command line answers at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit
from tests import graphs

HEAVY = ("numpy", "onnx", "onnxruntime", "rich", "sympy", "torch")


def loaded(code: str) -> list[str]:
    """The heavy packages that a fresh interpreter has imported after running the code."""
    report = f"import sys; print(*(n for n in {HEAVY} if n in sys.modules), file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", f"try:\n    {code}\nexcept SystemExit: pass\n{report}"],
        env={**os.environ, "PYTHONPATH": str(Path(toolkit.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stderr.split()


def command(*arguments: str) -> str:
    return f"from toolkit.cli import main; main({list(arguments)})"


@pytest.mark.parametrize(
    "code",
    [
        "import toolkit",
        "import toolkit; dir(toolkit)",
        "import toolkit; toolkit.OnnxportError",
        command("--help"),
        command("--version"),
        command("export", "--help"),
        command("inspect", "--help"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    assert loaded(code) == []


def test_the_signature_needs_no_arrays_to_be_read() -> None:
    code = "from toolkit.signature import Signature; str(Signature.parse('x: bfloat16[2]'))"
    assert loaded(code) == []


def test_inspecting_a_file_imports_neither_torch_nor_a_runtime(tmp_path: Path) -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }"
    graphs.saved(tmp_path / "m.onnx", text, "x: float32[n, 4]; where n = 1..4")
    found = loaded(command("inspect", f"{tmp_path}/m.onnx"))
    assert not {"onnxruntime", "sympy", "torch"} & set(found)
