"""Sorting, running, counting and choosing, as numbers against PyTorch and as one file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites import cumulative, distance, indexing, sorting, statistics

aten = torch.ops.aten
HOW: dict[Any, Any] = {
    op: how
    for family in (cumulative, distance, indexing, sorting, statistics)
    for op, how in family.FAMILY.decompositions.items()
}
X = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
HOLES = X.clone()
HOLES[1, 2] = HOLES[2] = float("nan")
WHOLE = torch.randint(0, 4, (5, 9), generator=torch.Generator().manual_seed(0))
SAMPLES = {"floats": X, "holes": HOLES, "whole": WHOLE, "number": torch.tensor(3.0)}


def near(op: Any, *arguments: Any, **keywords: Any) -> None:
    expected = op(*arguments, **keywords)
    found = HOW[op](*arguments, **keywords)
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("x", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("dim", [0, -1])
def test_running_results(x: Tensor, dim: int) -> None:
    near(aten.cumprod.default, x, dim)
    near(aten.cummax.default, x, dim)
    near(aten.cummin.default, x, dim)
    if x.is_floating_point():
        near(aten.logcumsumexp.default, 100 * x, dim)


@pytest.mark.parametrize("x", SAMPLES.values(), ids=SAMPLES)
def test_medians(x: Tensor) -> None:
    near(aten.median.default, x)
    near(aten.nanmedian.default, x)
    near(aten.median.dim, x, -1)
    found, expected = HOW[aten.nanmedian.dim](x, -1, True), torch.nanmedian(x, -1, True)
    torch.testing.assert_close(found[0], expected[0], equal_nan=True)


def test_the_most_frequent_value_and_the_last_place_where_it_stands() -> None:
    near(aten.mode.default, torch.tensor([[3, 1, 1, 3, 2], [5, 4, 4, 5, 5]]))


def test_the_kth_value() -> None:
    near(aten.kthvalue.default, X, 3, -1, True)


@pytest.mark.parametrize("right", [False, True])
def test_places_among_boundaries(right: bool) -> None:
    edges = torch.tensor([[-1.0, 0.0, 0.5], [-2.0, 0.0, 2.0]])
    near(aten.searchsorted.Tensor, edges, torch.tensor([[0.0, 9.0], [-2.0, 1.0]]), right=right)
    near(aten.bucketize.Tensor, X, edges[0], right=right, out_int32=True)
    near(aten.bucketize.Scalar, 0.5, edges[0], right=right)


def test_histograms() -> None:
    near(aten.histogram.bin_ct, X, 5)
    near(aten.histogram.bin_ct, X, 5, range=[-1.0, 1.0], density=True)
    near(aten.histogram.bins_tensor, X, torch.tensor([-1.0, 0.0, 2.0]), weight=X.abs())


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, float("inf")])
def test_distances(p: float) -> None:
    for mode in (None, 1, 2):
        near(aten._cdist_forward.default, X, X + 1, p, mode)
    near(aten._pdist_forward.default, X, p)


@pytest.mark.parametrize("correction", [None, 0, 2, 0.5])
@pytest.mark.parametrize("dim", [None, [1], [0, -1]])
@pytest.mark.parametrize("keepdim", [False, True])
def test_variances(correction: Any, dim: Any, keepdim: bool) -> None:
    for op in (aten.var.correction, aten.std.correction, aten.var_mean.correction):
        near(op, X + 3, dim, correction=correction, keepdim=keepdim)


def test_the_variance_of_equal_numbers_is_zero() -> None:
    assert HOW[aten.var.correction](torch.full((37,), 0.1)) == 0


@pytest.mark.parametrize("include_self", [False, True])
def test_reductions_by_index(include_self: bool) -> None:
    index = torch.tensor([0, 3, 3])
    for reduce in ("mean", "prod", "amin", "amax"):
        arguments = (X, 1, index, X[:, 1:4] + 1, reduce)
        near(aten.index_reduce.default, *arguments, include_self=include_self)
    places = torch.tensor([[0, 1, 0, 2]]).expand(4, 4)
    arguments = (X, 0, places, X[:, 1:5], "mean")
    near(aten.scatter_reduce.two, *arguments, include_self=include_self)


@pytest.mark.parametrize("accumulate", [False, True])
def test_writes_by_place(accumulate: bool) -> None:
    near(aten.put.default, X, torch.tensor([0, -1, 3]), torch.ones(3), accumulate)


@pytest.mark.parametrize("offset", [-2, 0, 3])
@pytest.mark.parametrize("dims", [(0, 1), (1, 2), (2, 0)])
def test_writes_on_a_diagonal(offset: int, dims: tuple[int, int]) -> None:
    x = torch.randn(4, 5, 6)
    near(aten.diagonal_scatter.default, x, x.diagonal(offset, *dims) + 1, offset, *dims)


@pytest.mark.parametrize("size", [0, 3, 40])
def test_a_fixed_number_of_places(size: int) -> None:
    near(aten.nonzero_static.default, X.relu(), size=size)


def test_runs_of_equal_values() -> None:
    x = torch.tensor([1.5, 1.5, 2.0, 2.0, 1.5])
    found = HOW[aten.unique_consecutive.default](x, True, True)
    torch.testing.assert_close(found, torch.unique_consecutive(x, True, True))


class Several(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {
            "running": x.cummax(1).values + x.logcumsumexp(0),
            "median": x.median(1).values,
            "far": torch.cdist(x, y),
            "spread": x.var(1),
            "above": x.masked_select(x > 0),
            "cov": torch.cov(x.mT),
        }


def test_a_file_holds_at_every_size(tmp_path: Path) -> None:
    signature = "x: float32[n, 5] in -9..9\ny: float32[m, 5] in -9..9\nwhere n = 2..40, m = 1..40"
    made = (Several(), signature)
    found = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds, found.report.reason
