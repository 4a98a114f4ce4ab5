"""What torch and onnxscript do again and again while a model is exported, done once, or not at all.

Nothing here changes what comes out. Of an export of Mask2Former (32 channels, two layers) it is a
third: sizes are asked whether they are numbers, sampling is computed in fifty operators only to
learn a shape, and each node of a file goes through all others to see which patterns it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

import sympy
import torch
from onnxscript.rewriter._matcher import SimplePatternMatcher
from torch import Tensor
from torch._decomp import decomposition_table
from torch.fx.experimental.sym_node import SymNode

_ATEN = torch.ops.aten


def _sampled(x: Tensor, grid: Tensor, *_: Any) -> Tensor:
    """[N, C, H_out, W_out], as torch.nn.functional.grid_sample returns."""
    return x.new_empty((*x.shape[:2], *grid.shape[1:-1]))


_SHAPES: dict[Any, Callable[..., Tensor]] = {_ATEN.grid_sampler_2d.default: _sampled}
"""Operators whose shapes torch finds out by decomposing them, where sizes are symbols."""


@contextmanager
def tracing() -> Iterator[None]:
    """While torch.export runs: of what is decomposed later these shapes would be all."""
    with mock.patch.dict(decomposition_table, _SHAPES):
        yield


@contextmanager
def quicker() -> Iterator[None]:
    """While a model is traced and written.

    torch's cache of what operators return on shapes is off: to look one up takes longer than to ask
    anew, where sizes are symbols (images of open sizes by half, texts as long).
    """
    with ExitStack() as stack:
        stack.enter_context(torch._dynamo.config.patch(fake_tensor_cache_enabled=False))
        stack.enter_context(mock.patch.object(SymNode, "expr", property(_expr)))
        stack.enter_context(mock.patch.object(SymNode, "maybe_as_int", _as_int))
        stack.enter_context(mock.patch.object(SimplePatternMatcher, "match", _match))
        yield


_torchs_expr: Any = SymNode.expr
_onnxscripts_match = SimplePatternMatcher.match
_is_number: Callable[[sympy.Basic], bool] = lru_cache(1 << 16)(lambda expr: bool(expr.is_number))


def _expr(node: SymNode) -> Any:
    """torch asks whether it is a number before it looks at what it kept."""
    env = node.shape_env
    if env is not None:
        version = env._replacements_version_counter
        if version == 0:
            return node._expr
        if version == node._expr_ver and node._expr_cache is not None:
            return node._expr_cache
    return _torchs_expr.fget(node)


def _as_int(node: SymNode) -> int | None:
    expr = node.expr
    if isinstance(expr, sympy.Symbol):
        return None
    return int(expr) if _is_number(expr) else None


def _match(matcher: SimplePatternMatcher, model: Any, graph: Any, node: Any, **options: Any) -> Any:
    """A node that is not what the pattern's first output comes from, begins none."""
    first = matcher.pattern.output_nodes[0].op_identifier()
    if first is not None and first[:2] != (node.domain, node.op_type):
        matcher._init_match(0)
        return matcher._match.fail("another operator")
    return _onnxscripts_match(matcher, model, graph, node, **options)
