"""At which sizes and values a model is tried before it is known what its outputs look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit import examples
from toolkit.examples import Feeds
from toolkit.signature import Signature

Trial = tuple[Mapping[str, int], Feeds]
"""Sizes, and arrays of them."""

_TAGS = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}
_REPEATED = 8
_MASKS = (torch.bool, torch.uint8)


def trials(signature: Signature) -> Iterator[Trial]:
    """Sizes that tell the dimensions of an output apart."""
    first = examples.example_sizes(signature)
    second = _other_sizes(signature, first)
    # Zeros once: the size of an output may depend on the values (nonzero, masked_select).
    runs = [(first, "uniform"), (second, "zeros")]
    runs += [(at, "uniform") for at in _mixed(first, second)]
    # Windows of 2 fit as often in 5 as in 4; of 2048 and of 8192 samples all are in frames of 512.
    for near in (0, 1):
        low = {d.name: d.legal[min(near, len(d.legal) - 1)] for d in signature.dims}
        if low not in [at for at, _ in runs]:
            runs.append((low, "uniform"))
    return (_drawn(signature, at, fill) for at, fill in runs)


def further_trials(signature: Signature) -> Iterator[Trial]:
    """Values of every kind, and the same row again and again: of boxes all may be kept until two of
    them are the same."""
    first = examples.example_sizes(signature)
    for number, at in enumerate((first, _other_sizes(signature, first)), 1):
        yield from (_drawn(signature, at, fill, number) for fill in examples.FILLS)
        yield from ((at, _repeated(signature, at, seed)) for seed in range(_REPEATED))


def _repeated(signature: Signature, at: Mapping[str, int], seed: int) -> Feeds:
    """What stands first along each dimension stands everywhere along it."""
    feeds = examples.feeds(signature, at, "uniform", np.random.default_rng(seed))
    for spec in signature.inputs:
        for axis, size in enumerate(spec.shape):
            if isinstance(size, str):
                places = np.zeros(feeds[spec.name].shape[axis], int)
                feeds[spec.name] = feeds[spec.name].take(places, axis)
    return feeds


class ByValues(TorchDispatchMode):
    """While it is entered it notes whether sizes may have come from values: `seen`.

    Such are operators that torch itself tags so (nonzero, a boolean index, `item`).
    """

    supports_higher_order_operators = True
    """Which have no tags, and run by themselves (FlexAttention, torch.cond)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.seen and _TAGS.intersection(getattr(func, "tags", ())):
            places = args[1] if func is torch.ops.aten.index.Tensor else ()
            self.seen = not places or any(p is not None and p.dtype in _MASKS for p in places)
        return func(*args, **(kwargs or {}))


def _drawn(signature: Signature, at: Mapping[str, int], fill: str, seed: int = 0) -> Trial:
    return at, examples.feeds(signature, at, fill, np.random.default_rng(seed))


def _mixed(first: Mapping[str, int], second: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Between the two, so that any two dimensions once differ in whose size they take.

    3 + 5 tokens are 8 and so are 6 + 2: of two runs alone that size would look fixed.
    """
    for bit in range((len(first) - 1).bit_length()):
        yield {name: (first, second)[n >> bit & 1][name] for n, name in enumerate(first)}


def _other_sizes(signature: Signature, first: Mapping[str, int]) -> dict[str, int]:
    """Sizes that differ from `first` in every dimension that can vary, however narrow its range.

    Where there is room they are far away: 1367 samples may make as many frames as 1361.
    """
    second = examples.example_sizes(signature, avoid=first.values())
    for dim in signature.dims:
        far, taken = dim.snap(4 * first[dim.name] + 3), {**second, dim.name: 0}
        if 2 * max(first[dim.name], 8) < far and far not in {*first.values(), *taken.values()}:
            second[dim.name] = far
        if second[dim.name] == first[dim.name]:
            others = (n for n in reversed(dim.legal) if n and n != first[dim.name])
            second[dim.name] = next(others, first[dim.name])
    return second
