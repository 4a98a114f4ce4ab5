"""The substitution of the delta rule: found in transformers as it stands, and the same numbers."""

import ast
import inspect
import textwrap
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from exporters.rewrites.control import idioms, runtime


def by_rows(attn: Tensor, chunk_size: int) -> Tensor:
    for i in range(1, chunk_size):
        row = attn[..., i, :i].clone()
        sub = attn[..., :i, :i].clone()
        attn[..., i, :i] = row + (row.unsqueeze(-1) * sub).sum(-2)
    return attn


def otherwise(attn: Tensor, chunk_size: int) -> Tensor:
    for i in range(1, chunk_size):
        row = attn[..., i, :i].clone()
        sub = attn[..., :i, :i].clone()
        attn[..., i, :i] = row - (row.unsqueeze(-1) * sub).sum(-2)
    return attn


def _tree(function: Callable[..., object]) -> ast.FunctionDef:
    found = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = found.body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def test_it_is_a_triangular_system() -> None:
    equal = torch.full((2, 16, 16), -1.0, dtype=torch.float64).tril(-1)  # the keys are all the same
    drawn = torch.randn(2, 16, 16, dtype=torch.float64, generator=torch.manual_seed(0)).tril(-1)
    for a in (equal, drawn):
        torch.testing.assert_close(idioms.substituted(a), by_rows(a.clone(), 16))


@pytest.mark.parametrize(("function", "expected"), [(by_rows, True), (otherwise, False)])
def test_it_is_known_by_all_that_it_says(function: object, expected: bool) -> None:
    tree = _tree(function)
    assert idioms.replace(tree, "runtime") is expected
    assert ("attn = runtime.substituted(attn)" in ast.unparse(tree)) is expected


def test_it_is_what_transformers_writes() -> None:
    from transformers.models.bailing_hybrid import modeling_bailing_hybrid
    from transformers.models.qwen3_next import modeling_qwen3_next

    for function in (
        modeling_qwen3_next.torch_chunk_gated_delta_rule,
        modeling_bailing_hybrid.chunk_kimi_delta_attention,
    ):
        assert idioms.replace(_tree(inspect.unwrap(function)), "runtime")
    assert idioms.SUBSTITUTED in runtime.__all__
