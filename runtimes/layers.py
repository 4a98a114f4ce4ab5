"""The layers of a recurrent module one by one: PyTorch runs all of them in one call.

ONNX has one node a layer, whose output is padded even where PyTorch's is packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

_ONE: Mapping[str, Any] = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN_TANH": partial(nn.RNN, nonlinearity="tanh"),
    "RNN_RELU": partial(nn.RNN, nonlinearity="relu"),
}


def of_layers(
    module: nn.RNNBase, given: Sequence[Any], named: Mapping[str, Any], time: int = 0
) -> Iterator[torch.Tensor]:
    """What each layer returns where `module` is called so: its values and its last states.

    The values are [time, batch, directions * hidden], padded, and with the directions apart as ONNX
    has them, [time, directions, batch, hidden]; a state is [directions, batch, hidden]. `time` is
    what was packed: the longest sequence may be shorter. Without dropout between layers.
    """
    ways = 2 if module.bidirectional else 1
    value, state = [*given, *named.values(), None][:2]
    for number in range(module.num_layers):
        own = slice(number * ways, (number + 1) * ways)
        first = state
        if state is not None:
            first = tuple(s[own] for s in state) if isinstance(state, tuple) else state[own]
        value, last = _one(module, number)(value, first)
        if isinstance(value, PackedSequence):
            longest = max(time, value.batch_sizes.numel())
            padded = pad_packed_sequence(value, total_length=longest)[0]
        else:
            padded = value.transpose(0, 1) if module.batch_first and value.dim() == 3 else value
        yield padded
        if ways == 2:
            yield padded.unflatten(-1, (ways, -1)).movedim(-2, 1)
        yield from last if isinstance(last, tuple) else (last,)


def _one(module: nn.RNNBase, number: int) -> Any:
    """A module of this layer alone, which shares its weights."""
    ways = 2 if module.bidirectional else 1
    width = (module.proj_size or module.hidden_size) * ways if number else module.input_size
    with torch.device("meta"):
        one = _ONE[module.mode](
            width,
            module.hidden_size,
            bias=module.bias,
            batch_first=module.batch_first,
            bidirectional=module.bidirectional,
            **({"proj_size": module.proj_size} if module.proj_size else {}),
        )
    for name in [n for n, _ in one.named_parameters()]:
        delattr(one, name)  # what is lent for a run in float64 is no Parameter
        setattr(one, name, getattr(module, name.replace("_l0", f"_l{number}")))
    return one.eval()
