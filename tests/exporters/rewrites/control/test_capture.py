"""Views of one memory that a branch or a loop uses: torch takes no two of them into a subgraph,
and asks how they lie in it."""

from pathlib import Path

import pytest
from torch import nn

from benchmarks.corpora.bends_layers import ROWS, EvenAndOdd, MergesTokens, SolvesAnEquation
from tests.exporters.holding import holds

TIMES = "x: float32[batch, 3] in -2..2; times: float32[k] in 0..1; where batch = 1..3, k = 2..8"


CASES = {
    EvenAndOdd: ROWS,
    SolvesAnEquation: TIMES,
    MergesTokens: "x: float32[batch, n, 6] in -2..2; where batch = 1..3, n = 1..10",
}


@pytest.mark.parametrize("module", CASES)
def test_views_of_one_memory(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")
