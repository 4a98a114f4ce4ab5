"""What torch's translation of subgraphs gets wrong, mended while the program is written.

The call of a loop's condition is given the version of ONNX's operators for its own domain (torch
2.13, hop.py): inside another subgraph, which says version 1, the functions cannot be inlined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.onnx._internal.exporter._torchlib.ops import hop


@contextmanager
def mended() -> Iterator[None]:
    own = hop.call_op

    def call_op(*arguments: Any, _domain: str = "", **keywords: Any) -> Sequence[Any]:
        outputs = own(*arguments, _domain=_domain, **keywords)
        if _domain and (call := outputs[0].producer()):
            call.version = 1
        return outputs

    vars(hop)["call_op"] = call_op
    try:
        yield
    finally:
        vars(hop)["call_op"] = own
