"""The layers of a recurrent module one by one: the last is what the whole returns."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from runtimes.layers import of_layers

X = torch.linspace(-1, 1, 5 * 3 * 4).reshape(5, 3, 4)
LENGTHS = torch.tensor([3, 5, 1])

MODULES = {
    "rnn": lambda: nn.RNN(4, 6, 3, nonlinearity="relu"),
    "gru": lambda: nn.GRU(4, 6, 2, bias=False),
    "both ways": lambda: nn.GRU(4, 6, 2, bidirectional=True),
    "lstm": lambda: nn.LSTM(4, 6, 2),
    "projected": lambda: nn.LSTM(4, 6, 2, proj_size=2, bidirectional=True),
    "batch first": lambda: nn.LSTM(4, 6, 2, batch_first=True),
}


def states(module: nn.RNNBase, batch: int) -> Any:
    ways = 2 if module.bidirectional else 1
    width = module.proj_size or module.hidden_size
    first = torch.ones(module.num_layers * ways, batch, width) / 2
    cell = torch.ones(module.num_layers * ways, batch, module.hidden_size) / 3
    return (first, cell) if isinstance(module, nn.LSTM) else first


@pytest.mark.parametrize("begun", [False, True], ids=["from zeros", "from a state"])
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@pytest.mark.parametrize("name", MODULES)
def test_the_last_layer_is_what_the_module_returns(name: str, packed: bool, begun: bool) -> None:
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    given: Any = X
    if packed:
        x = X.transpose(0, 1) if module.batch_first else X
        first = module.batch_first
        given = pack_padded_sequence(x, LENGTHS, batch_first=first, enforce_sorted=False)
    state = states(module, 5 if module.batch_first and not packed else 3) if begun else None
    with torch.no_grad():
        whole, last = module(given, state)
        found = [*of_layers(module, (given,), {"hx": state})]
    padded: Tensor = pad_packed_sequence(whole)[0] if packed else whole
    if module.batch_first and not packed:
        padded = padded.transpose(0, 1)
    ways = 2 if module.bidirectional else 1
    ends = last if isinstance(last, tuple) else (last,)
    assert len(found) == module.num_layers * (ways + len(ends))
    for ours, theirs in zip(found[-len(ends) :], ends, strict=True):
        torch.testing.assert_close(ours, theirs[-ways:])
    values = found[-len(ends) - ways : -len(ends)]
    torch.testing.assert_close(values[0], padded)
    if ways == 2:
        torch.testing.assert_close(values[1].movedim(1, 2).flatten(2), padded)
