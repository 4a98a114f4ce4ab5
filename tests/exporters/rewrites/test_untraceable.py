"""Formulas that stand for functions which ask about values, against those functions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.corpora.bends_layers import GraphAttention
from exporters.rewrites.untraceable import _TABLE, FAMILY
from tests.exporters.holding import holds

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
COUNTS = torch.tensor([1, 2, 3, 1, 1, 2])
SHARES = X[0].abs()


def near(function: Any, *arguments: Any, **keywords: Any) -> None:
    found, expected = (f(*arguments, **keywords) for f in (_TABLE[function], function))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"correction": 0},
        {"fweights": COUNTS},
        {"aweights": SHARES},
        {"fweights": COUNTS, "aweights": SHARES, "correction": 2},
    ],
    ids=["bare", "biased", "counts", "shares", "both"],
)
def test_covariances(keywords: dict[str, Any]) -> None:
    near(torch.cov, X, **keywords)


def test_correlations() -> None:
    near(torch.corrcoef, X)
    near(torch.corrcoef, X[0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gaussian_likelihoods(reduction: str) -> None:
    arguments = (X, 2 * X, X[:, 0].abs())
    near(functional.gaussian_nll_loss, *arguments, full=True, reduction=reduction)


@pytest.mark.parametrize("driver", [None, "gelsy", "gels", "gelsd", "gelss"])
@pytest.mark.parametrize("rows", [3, 6, 9])
def test_least_squares(driver: str | None, rows: int) -> None:
    a, b = torch.randn(2, rows, 6, dtype=torch.float64), torch.randn(2, rows, 4).double()
    found, expected = (
        _TABLE[torch.linalg.lstsq](a, b, driver=driver),
        torch.linalg.lstsq(a, b, driver=driver),
    )
    for name in ("solution", "residuals", "rank", "singular_values"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


def test_choices_of_elements() -> None:
    near(torch.combinations, X[0], 3)
    near(torch.combinations, X[0], 2, True)


def test_calls_are_replaced_while_tracing_only() -> None:
    with FAMILY.tracing(torch.nn.Identity()):
        inside = torch.allclose(X, X)
    assert isinstance(inside, torch.Tensor)
    assert torch.allclose(X, X) is True


def test_counts_up_to_a_size(tmp_path: Path) -> None:
    signature = """
        x: float32[nodes, 4] in -2..2
        edges: int64[2, count] in 0..4
        where nodes = 5..9, count = 1..9
    """
    assert holds(GraphAttention, signature, tmp_path / "model.onnx")


class OfItsSize(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        sizes = torch.as_tensor([[x.shape[1], x.shape[0]], [2, 3.5]], dtype=torch.float32)
        whole = torch.as_tensor((x.shape[0], len(x) * 2))
        alike = (x @ x.mT).fill_diagonal_(-torch.inf)
        return sizes * x.mean(), whole, alike.softmax(-1)


def test_sizes_stay_open(tmp_path: Path) -> None:
    signature = "x: float32[n, m] in -2..2; where n = 2..6, m = 1..5"
    assert holds(OfItsSize, signature, tmp_path / "model.onnx")


class Classes(nn.Module):
    """As many as there are, as many as a size says, and a number of them."""

    def forward(self, y: Tensor) -> tuple[Tensor, ...]:
        hot = functional.one_hot
        return hot(y), hot(y, len(y) + 5), hot(y, 7).to(y.dtype).sum(0)


def test_one_hot_of_any_number_of_classes(tmp_path: Path) -> None:
    assert holds(Classes, "y: int64[n] in 0..4; where n = 1..9", tmp_path / "model.onnx")
