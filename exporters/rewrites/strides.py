"""Questions about strides, which ONNX does not have: they narrow no range.

torch asks whether a tensor is contiguous, and how its axes lie in memory, and notes what it took
for true: that a feature map is one pixel high, say, at which axes have no order. With images of 64
to 128 pixels, reduced 64 times, that is so for some sizes only: a convolution and a resize of what
it returns were refused, for 96 and 128 (EfficientViM, EfficientViT), or for 128 alone (CSATv2), and
products of transposed tensors for audio of one frame (LASR). The answers are still those of
the example, but they are not noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

import torch
from torch import SymInt, Tensor, _prims_common, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, ShapeEnv
from torch.fx.passes import runtime_assert
from torch.nn import functional as F  # noqa: N812
from torch.utils import _pytree as pytree

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing

_QUESTIONS = {
    _prims_common: (
        "is_contiguous",
        "check_contiguous_sizes_strides",
        "is_channels_last_contiguous_2d",
        "is_channels_last_contiguous_3d",
        "are_strides_like_channels_last_or_false",
        "_is_non_overlapping_and_dense_or_false",
        "compute_elementwise_output_logical_to_physical_perm",
    ),
    # Whether an element of what is written to is there twice, which PyTorch refuses.
    torch: ("_debug_has_internal_overlap",),
    # Which library computes a convolution, and in which order it lays out what it returns.
    torch._C: ("_select_conv_backend", "_conv_determine_backend_memory_format"),
}
"""Functions that look at nothing else, or at nothing that a file would say."""

_OF_A_SUBGRAPH = "reenter_make_fx"
"""What torch calls the graph of a branch or of a loop's body there."""

_PRODUCTS = (F.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__)


def _unnoted(question: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(question)
    def answer(*arguments: Any, **keywords: Any) -> Any:
        env = _environment(arguments)
        if env is None:
            return question(*arguments, **keywords)
        with env.suppress_guards():
            return question(*arguments, **keywords)

    return answer


def _environment(arguments: Any) -> ShapeEnv | None:
    for leaf in pytree.tree_leaves(arguments):
        for size in (*leaf.shape, *leaf.stride()) if isinstance(leaf, Tensor) else (leaf,):
            if isinstance(size, SymInt):
                env: ShapeEnv = size.node.shape_env
                return env
    return None


def _of_ordered(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Given copies in order of what lies otherwise: there C++ asks, and not what is above."""

    def called(*arguments: Any, **keywords: Any) -> Tensor:
        return function(*map(_ordered, arguments), **keywords)

    return called


def _ordered(x: Any) -> Any:
    env = _environment([x]) if isinstance(x, Tensor) and x.dim() > 2 else None
    if env is None:
        return x
    try:
        with env.suppress_guards():
            ordered = x.is_contiguous()
    except GuardOnDataDependentSymNode:  # a size that values decide: as many as a mask chooses
        ordered = False
    return x if ordered else x.clone(memory_format=torch.contiguous_format)


def _of_whole_programs(inserted: Callable[..., Any]) -> Callable[..., Any]:
    """Assertions, but none in a subgraph: for those torch asks there what a stride is, and ONNX has
    none of either."""

    def insert(module: Any, env: ShapeEnv, name: str, **keywords: Any) -> Any:
        return None if name == _OF_A_SUBGRAPH else inserted(module, env, name, **keywords)

    return insert


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(replacing({f: _of_ordered(f) for f in _PRODUCTS}))
        insert = "insert_deferred_runtime_asserts"
        assertions = _of_whole_programs(getattr(runtime_assert, insert))
        stack.enter_context(mock.patch.object(runtime_assert, insert, assertions))
        for module, names in _QUESTIONS.items():
            for name in names:
                answer = _unnoted(getattr(module, name))
                stack.enter_context(mock.patch.object(module, name, answer))
        yield


FAMILY = Family("strides", tracing=_tracing)
