"""What torch's translation of subgraphs gets wrong, mended while the program is written.

The call of a loop's condition is given the version of ONNX's operators for its own domain (torch
2.13, hop.py): inside another subgraph, which says version 1, the functions cannot be inlined.

And the ways of a branch whose results differ in a size are refused for their strides, in which a
product has Max(1, n) where it looks for n (MobileViT resizes what is no multiple of its patches).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.onnx._internal.exporter._torchlib.ops import hop

from exporters.rewrites.control.sizes import in_rows


@contextmanager
def mended() -> Iterator[None]:
    own = hop.call_op

    def call_op(*arguments: Any, _domain: str = "", **keywords: Any) -> Sequence[Any]:
        outputs = own(*arguments, _domain=_domain, **keywords)
        if _domain and (call := outputs[0].producer()):
            call.version = 1
        return outputs

    cond = import_module("torch._higher_order_ops.cond")  # a function has the module's name
    merge = cond._merge_output

    def merge_output(one: Any, other: Any, mode: Any) -> Any:
        """Axis by axis: the strides of what is empty in one way only are none to torch."""
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            return merge(one, other, mode)
        with mode:
            merge(_empty(one, []), _empty(other, []), mode)
            pairs = zip(one.shape, other.shape, strict=True)
            sizes = [merge(_empty(one, [a]), _empty(other, [b]), mode).shape[0] for a, b in pairs]
            return _empty(one, sizes)

    with (
        mock.patch.object(hop, "call_op", call_op),
        mock.patch.object(cond, "_merge_output", merge_output),
    ):
        yield


def _empty(like: Tensor, shape: Sequence[Any]) -> Tensor:
    """That lies in memory row by row."""
    return torch.empty_strided(shape, in_rows(shape), dtype=like.dtype, device=like.device)
