"""(b) Every operator with at most three samples: common_methods_invocations.op_db."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.corpora.cases import Call, Case
from benchmarks.corpora.meaningless import MEANINGLESS
from toolkit import examples
from toolkit.domain import FromData
from toolkit.model import to_array, to_tensor
from toolkit.signature import Signature
from toolkit.structure import flatten

SAMPLES = 3
SHOWN = (0, 1)
"""The seeds of the values that an exporter sees, where values come from the samples only."""
UNSEEN = (2, 3, 4)
"""The seeds of those that it is then checked on."""

IN_ORDER = ("bucketize", "searchsorted")
"""Their boundaries are sorted: values within a range are not."""
REGULAR = (
    *("linalg.cholesky_ex", "linalg.cond", "linalg.inv_ex", "linalg.solve_ex", "linalg.pinv"),
    *("lu", "linalg.lu", "linalg.lu_factor", "linalg.lu_factor_ex", "qr", "linalg.qr"),
)
"""What they return for a singular matrix is rounding, or not specified; they do not raise."""
TIES = ("kthvalue", "topk")
"""Of equal values they return the place of any, which PyTorch's own kernels choose differently."""


def cases() -> Iterator[Case]:
    return of_dtype(torch.float32, SAMPLES)


def of_dtype(dtype: torch.dtype, samples: int, prefix: str = "") -> Iterator[Case]:
    from torch.testing._internal.common_methods_invocations import op_db

    for info in op_db:
        if dtype not in info.dtypes:
            continue
        name = info.name + (f".{info.variant_test_name}" if info.variant_test_name else "")
        for number in range(samples):
            yield Case(
                f"{prefix}{name}/{number}",
                partial(_build, info, number, SHOWN, dtype),
                unseen=partial(_build, info, number, UNSEEN, dtype),
                meaningless=MEANINGLESS.get(info.name, ""),
            )


def _build(
    info: Any, number: int, seeds: tuple[int, ...], dtype: torch.dtype
) -> tuple[nn.Module, Signature] | tuple[nn.Module, Signature, list[dict[str, Tensor]]]:
    call = _call(info, number, SHOWN[0], dtype)
    signature = call.signature()
    name = info.name
    if name not in IN_ORDER + REGULAR + TIES and _can_be_redrawn(call, signature):
        return call, signature
    others = [_call(info, number, seed, dtype) for seed in seeds]
    data = Signature(tuple(replace(s, values=FromData()) for s in signature.inputs))
    shown = [
        dict(zip([s.name for s in signature.inputs], other.tensors, strict=True))
        for other in others
        if other.differs_in_values_only(call)
    ]
    return call, data, shown


def _call(info: Any, number: int, seed: int, dtype: torch.dtype) -> Call:
    """The number-th sample whose tensors and results have elements: others prove nothing."""
    torch.manual_seed(seed)
    samples = info.sample_inputs("cpu", dtype, requires_grad=False)
    found = next(islice(filter(None, (_telling(info, s) for s in samples)), number, None), None)
    if found is None:
        raise LookupError(f"there are fewer than {number + 1} samples of tensors with elements")
    return found


def _telling(info: Any, sample: Any) -> Call | None:
    arguments = (sample.input, *sample.args)
    call = Call(info.op, arguments, sample.kwargs).eval()
    if not call.tensors or not all(t.numel() for t in call.tensors):
        return None
    try:
        with torch.no_grad():
            results = flatten(call(*(t.clone() for t in call.tensors)))
    except Exception:  # what it raises is said where the case is loaded
        return call
    return call if any(t.numel() for _, t in results) else None


def _can_be_redrawn(call: Call, signature: Signature) -> bool:
    """Does PyTorch take whatever lies in the ranges of the sample's values, and return numbers?"""
    rng = np.random.default_rng(0)
    try:
        with torch.no_grad():
            wanted = [_numbers(t) for _, t in flatten(call(*(t.clone() for t in call.tensors)))]
            for fill in examples.FILLS:
                feeds = examples.feeds(signature, {}, fill, rng)
                tensors = [to_tensor(feeds[s.name], s.dtype) for s in signature.inputs]
                found = [_numbers(t) for _, t in flatten(call(*tensors))]
                if fill == "uniform" and any(
                    w and not f for w, f in zip(wanted, found, strict=True)
                ):
                    return False
    except Exception:
        return False
    return True


def _numbers(tensor: Tensor) -> bool:
    """Is any element a finite number?"""
    return bool(np.isfinite(to_array(tensor.to(torch.float64))).any())
