"""Elementwise functions at the numbers where the usual forms fail."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.pointwise import FAMILY

aten = torch.ops.aten
INF, NAN = float("inf"), float("nan")
NUMBERS = [0.0, -0.0, 1.0, -2.0, 0.5, 3.7, 88.0, -100.0, 1e30, 1e-30, 1e-40, -1.4e-45, 1e-8, INF]
X = torch.tensor([*NUMBERS, -INF, NAN, 1.0000001, 0.99999994, 1.1754944e-38, 3.4e38])
A, B = torch.tensor(list(product(X.tolist(), X.tolist()))).T.contiguous()
ONE = (aten.signbit, aten.frexp, aten.log1p, aten.expm1, aten.erfc)
TWO = (
    *(aten.copysign, aten.fmax, aten.fmin, aten.nextafter),
    *(aten.logaddexp, aten.hypot, aten.atan2),
)


def near(op: Any, *arguments: Tensor) -> None:
    how = next(how for key, how in FAMILY.decompositions.items() if key.overloadpacket is op)
    torch.testing.assert_close(
        how(*arguments), op(*arguments), rtol=3e-6, atol=1e-44, equal_nan=True
    )


@pytest.mark.parametrize("op", ONE, ids=str)
def test_functions_of_one_number(op: Any) -> None:
    near(op, X)


@pytest.mark.parametrize("op", TWO, ids=str)
def test_functions_of_two_numbers(op: Any) -> None:
    near(op, A, B)


def test_the_next_number_is_exact() -> None:
    found, expected = FAMILY.decompositions[aten.nextafter.default](A, B), torch.nextafter(A, B)
    numbers = ~expected.isnan()
    assert torch.equal(found[numbers], expected[numbers])


class Safe(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {
            "sum": torch.logaddexp(a, b),
            "gate": nn.functional.logsigmoid(a),
            "sign": torch.copysign(a, b),
            "double": a.softmax(0, dtype=torch.float64),
            "share": torch.divide(a, torch.ones_like(b, dtype=torch.int64)),
        }


def test_a_file_holds_far_from_zero(tmp_path: Path) -> None:
    """torchlib's logaddexp is infinite above 88; its softmax rounds before it is float64."""
    made = (Safe(), "a: float32[n] in -300..300\nb: float32[n] in -300..300\nwhere n = 1..9")
    found = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds, found.report.reason
