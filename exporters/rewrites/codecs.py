"""Audio codecs of transformers: how far a convolution pads its end is worked out in integers.

Layers with `_get_extra_padding_for_conv1d` (EnCodec, Mimi and others) keep their kernel, stride and
padding as tensors, divide a length by one, round up and pad by what results: a number that depends
on data, for torch.export. In integers the padding at the end is n * stride + kernel - total -
length, where n = ceil((length - kernel + total) / stride).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from exporters.rewrites import Family
from exporters.rewrites.control.sizes import settled

_METHOD = "_get_extra_padding_for_conv1d"
_NUMBERS = ("kernel_size", "stride", "padding_total")


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    """With the three numbers of every such layer as Python's, and the method in them."""
    layers: list[Any] = [m for m in model.modules() if callable(getattr(m, _METHOD, None))]
    layers = [m for m in layers if all(n in m._buffers for n in _NUMBERS)]
    kept = [{n: layer._buffers.pop(n) for n in _NUMBERS} for layer in layers]
    for layer, tensors in zip(layers, kept, strict=True):
        numbers = {n: int(tensors[n]) for n in _NUMBERS}
        vars(layer).update(numbers | {_METHOD: _padding(*numbers.values())})
    try:
        yield
    finally:
        for layer, tensors in zip(layers, kept, strict=True):
            for name in (*_NUMBERS, _METHOD):
                del vars(layer)[name]
            layer._buffers.update(tensors)


def _padding(kernel: int, stride: int, total: int) -> Any:
    def padding(hidden_states: Tensor) -> int:
        length = hidden_states.shape[-1]
        frames = (length - kernel + total + stride - 1) // stride
        extra = frames * stride + kernel - total - length
        always = settled(extra)  # 0, where the stride is 1: a number of Python's in a branch too
        return extra if always is None else always

    return padding


FAMILY = Family("codecs", tracing=_tracing)
