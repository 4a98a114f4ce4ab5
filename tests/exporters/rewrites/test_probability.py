"""erfinv, erfcx and ndtri as numbers, and erfcx where torch's own exporter writes zero."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.probability import FAMILY
from tests.exporters.holding import holds

aten = torch.ops.aten
DOMAINS = {
    aten.special_erfcx.default: (-5.0, 100.0),
    aten.erfinv.default: (-0.9999, 0.9999),
    aten.special_ndtri.default: (1e-12, 1 - 1e-9),
}


@pytest.mark.parametrize("op", DOMAINS, ids=str)
def test_agrees_with_pytorch(op: Any) -> None:
    x = torch.linspace(*DOMAINS[op], 1001, dtype=torch.float64)
    torch.testing.assert_close(FAMILY.decompositions[op](x), op(x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("op", DOMAINS, ids=str)
def test_ends_are_those_of_pytorch(op: Any) -> None:
    x = torch.tensor([-1.0, 0.0, 1.0, 1.5, -30.0, float("inf"), float("nan")])
    torch.testing.assert_close(FAMILY.decompositions[op](x), op(x), equal_nan=True)


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.special.erfcx(x) + torch.special.log_ndtr(-x) / 100
        return found


def test_a_file_keeps_the_tail(tmp_path: Path) -> None:
    """torchlib's exp(x^2) erfc(x) is zero above 10."""
    model = (Scaled(), "x: float32[n] in -2..40; where n = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds


class Acts(nn.Module):
    """A policy: its distribution asks whether its parameters are what they may be."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        normal = torch.distributions.Normal(x[:, 0], x[:, 1].exp())
        chosen = torch.distributions.Categorical(logits=x)
        return normal.log_prob(x[:, 2]), normal.entropy(), chosen.probs, chosen.entropy()


def test_distributions_are_not_asked_while_tracing(tmp_path: Path) -> None:
    assert holds(Acts, "x: float32[n, 3] in -2..2; where n = 1..6", tmp_path / "model.onnx")
