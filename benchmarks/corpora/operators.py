"""(b) Every operator with at most three samples: common_methods_invocations.op_db."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from benchmarks.corpora.cases import Call, Case
from toolkit.signature import Signature

SAMPLES = 3


def cases() -> Iterator[Case]:
    from torch.testing._internal.common_methods_invocations import op_db

    for info in op_db:
        if torch.float32 not in info.dtypes:
            continue
        name = info.name + (f".{info.variant_test_name}" if info.variant_test_name else "")
        for number in range(SAMPLES):
            yield Case(f"{name}/{number}", partial(_build, info, number))


def _build(info: object, number: int) -> tuple[nn.Module, Signature]:
    torch.manual_seed(0)
    samples = info.sample_inputs("cpu", torch.float32, requires_grad=False)  # type: ignore[attr-defined]
    sample = next(islice(samples, number, None), None)
    if sample is None:
        raise LookupError(f"there are fewer than {number + 1} samples")
    if not isinstance(sample.input, (Tensor, list, tuple)):
        raise LookupError("its input is no tensor")
    arguments = (sample.input, *sample.args)
    call = Call(info.op, arguments, sample.kwargs).eval()  # type: ignore[attr-defined]
    if not call.tensors:
        raise LookupError("it takes no tensor")
    return call, call.signature()
