"""einsum as products of matrices: over axes that are empty, and every form that PyTorch takes."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.products import _einsum


class Cached(nn.Module):
    """Attention as JAX users write it, [batch, tokens, heads, features], with a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.out = nn.Parameter(torch.randn(2, 4, 8))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        query, key = (layer(x).unflatten(-1, (2, 4)) for layer in (self.query, self.key))
        old = torch.einsum("bqhd,bkhd->bhqk", query, past)
        scores = torch.cat((old, torch.einsum("bqhd,bkhd->bhqk", query, key)), -1)
        seen = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), torch.cat((past, key), 1))
        return torch.einsum("bqhd,hde->bqe", seen, self.out), torch.einsum("bkhd->bhd", past)


def test_attention_over_a_cache_that_starts_empty(tmp_path: Path) -> None:
    signature = """
        x: float32[batch, tokens, 8]
        past: float32[batch, before, 2, 4]
        where batch = 0..3, tokens = 1..5, before = 0..5
    """
    exported = toolkit.export(
        (Cached().eval(), signature), tmp_path / "m.onnx", exporters=("onnxport",), budget=4.0
    )
    assert exported.report.holds, exported.report.reason
    nodes = [n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node]
    assert nodes.count("MatMul") == 6  # one for each product and each layer
    assert nodes.count("Einsum") == 1  # of one operand there is no product


SIZES = dict(zip("bhqkdijnxyBA", (2, 3, 4, 5, 6, 4, 3, 2, 0, 1, 3, 2), strict=True))
EQUATIONS = (
    *("bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "bqhd,dhk->bqhk", "bqhd,hdk->bqk"),
    *("i,j->ij", "i,i->", "ij,kn->", "bij,bij->jb", "bij,j->bi", "j,bij->bi", "bhqd,d->bhqd"),
    *("ij,jk", "Bi,iA", " b i j , b j k -> b i k", "bij,jk,kn->bin", "bhd,hdk,bhk->bhdk"),
    *("bxhd,bkhd->bhxk", "bqhd,bxhd->bhqx", "bhqx,bxhd->bqhd", "xhd,bhd->xb"),
)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_a_product_is_what_einsum_returns(equation: str) -> None:
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    given = [torch.randn([SIZES[c] for c in t], dtype=torch.float64) for t in terms]
    torch.testing.assert_close(_einsum(equation, given), torch.einsum(equation, *given))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("...ij,...jk->...ik", ((2, 3, 4), (2, 4, 3))),
        ("...ij,...jk->...ik", ((5, 2, 3, 4), (2, 4, 3))),
        ("...ij,jk->...ik", ((5, 2, 3, 4), (4, 3))),
        ("b...,b...->...", ((5, 2, 3), (5, 2, 3))),
        ("i...,j...", ((5, 2, 3), (4, 3))),
        ("...i,i", ((5, 2, 3), (3,))),
    ],
)
def test_an_ellipsis_stands_for_the_axes_that_it_covers(
    equation: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    given = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    torch.testing.assert_close(_einsum(equation, given), torch.einsum(equation, *given))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ii,ij->j", ((3, 3), (3, 2))),
        ("ij,jk->ik", ((3, 1), (4, 5))),
        ("ij->ji", ((3, 4),)),
    ],
)
def test_what_has_no_product_stays_einsum(
    equation: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    assert _einsum(equation, [torch.randn(shape) for shape in shapes]) is NotImplemented
