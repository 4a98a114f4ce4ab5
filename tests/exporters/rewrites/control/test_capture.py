"""Views of one memory that a branch or a loop uses: torch takes no two of them into a subgraph."""

from pathlib import Path

import pytest
from torch import nn

from benchmarks.corpora.bends_layers import ROWS, EvenAndOdd, SolvesAnEquation
from tests.exporters.holding import holds

TIMES = "x: float32[batch, 3] in -2..2; times: float32[k] in 0..1; where batch = 1..3, k = 2..8"


@pytest.mark.parametrize(("module", "signature"), [(EvenAndOdd, ROWS), (SolvesAnEquation, TIMES)])
def test_views_of_one_memory(module: type[nn.Module], signature: str, tmp_path: Path) -> None:
    assert holds(module, signature, tmp_path / "model.onnx")
