"""What a file declares of its inputs and outputs, held to what it does."""

import numpy as np
import pytest

from toolkit.artifact import Declared
from toolkit.parity.declared import input_problems, output_problems
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[batch, time, 3]\nwhere batch = 1..4, time = 1..9")
GOOD = Declared("x", "float32", ("batch", "time", 3))
OUTPUT = {"y": np.zeros((2, 5, 7), np.float32)}


@pytest.mark.parametrize(
    "declared", [GOOD, Declared("x", "float32", None), Declared("x", "float32", (None, "n", 3))]
)
def test_an_input_as_wide_as_the_signature_is_fine(declared: Declared) -> None:
    assert input_problems((declared,), SIGNATURE) == []


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ((), "the file has no input 'x'"),
        ((GOOD, Declared("z", "int64", ())), "the file wants another input 'z'"),
        ((Declared("x", "float64", None),), "input 'x' is float64, declared float32"),
        ((Declared("x", "float32", ("batch", 3)),), "input 'x' has rank 2, declared 3"),
        (
            (Declared("x", "float32", ("batch", 5, 3)),),
            "input 'x' is fixed to 5 in axis 1, declared 'time'",
        ),
    ],
)
def test_a_narrower_input_is_a_problem(declared: tuple[Declared, ...], problem: str) -> None:
    assert input_problems(declared, SIGNATURE) == [problem]


@pytest.mark.parametrize(
    "shape", [("batch", "time", 7), (2, 5, 7), ("batch", None, "classes"), None]
)
def test_an_output_that_comes_as_declared_is_fine(
    shape: tuple[int | str | None, ...] | None,
) -> None:
    declared = Declared("y", "float32", shape)
    assert output_problems((declared,), OUTPUT, {"batch": 2, "time": 5}) == []


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (Declared("y", "float32", ("batch", 13, 7)), "'y' is declared [batch, 13, 7]"),
        (Declared("y", "float32", ("time", "batch", 7)), "'y' is declared [time, batch, 7]"),
        (Declared("y", "float32", ("n", "n", 7)), "'y' is declared [n, n, 7]"),
        (Declared("y", "float32", ("batch", "time")), "'y' is declared [batch, time]"),
        (Declared("y", "float16", None), "'y' is declared float16, comes as float32"),
        (Declared("z", "float32", None), "output 'z' is declared and does not come out"),
    ],
)
def test_an_output_that_breaks_its_declaration_is_a_problem(
    declared: Declared, problem: str
) -> None:
    found = output_problems((declared,), OUTPUT, {"batch": 2, "time": 5})
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_a_name_stands_for_one_size_in_all_outputs() -> None:
    declared = (Declared("y", "float32", ("n",)), Declared("z", "float32", ("n",)))
    outputs = {"y": np.zeros(3, np.float32), "z": np.zeros(4, np.float32)}
    assert output_problems(declared, outputs, {}) == ["'z' is declared [n], comes as [4]"]
