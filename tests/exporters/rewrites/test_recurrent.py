"""dynamo with recurrent layers as ONNX's own nodes: the same numbers at every size and length."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import rnn
from torch.nn.utils.rnn import (
    pack_padded_sequence as packed_under_another_name,
    pad_packed_sequence,
)

from exporters.own import Own
from tests import models
from toolkit import source, structure
from toolkit.errors import ExportRefused

Made = tuple[nn.Module, str]
SIGNATURE = """
    x: float32[batch, time, 3]
    lengths: int64[batch] in 1..9
    where batch = 1..8, time = 1..9
"""
SIZES = [(1, 1), (1, 9), (8, 1), (8, 9), (3, 4)]


def exported(made: Made, path: Path) -> onnx.ModelProto:
    Own().export(source.load(made), path, opset=20)
    return onnx.load(str(path))


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def feeds(batch: int, time: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, time, 3)).astype(np.float32)
    return {"x": x, "lengths": rng.integers(1, 10, batch)}


def packed(x: Tensor, lengths: Tensor, batch_first: bool = True) -> rnn.PackedSequence:
    """Not in order, and no row longer than x."""
    time = x.shape[1] if batch_first else x.shape[0]
    return packed_under_another_name(
        x, lengths.clamp(1, time), batch_first=batch_first, enforce_sorted=False
    )


# Stacks of every kind, each called in both ways, one file a kind: exporting is what takes time.

KINDS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STACKS: dict[str, dict[str, bool | int]] = {  # each pair of options occurs
    "one": {"batch_first": True},
    "two": {"num_layers": 2},
    "two_bare": {"num_layers": 2, "batch_first": True, "bias": False},
    "both_ways": {"bidirectional": True, "bias": False},
    "two_both_ways": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}
CALLS = {  # the other two pairs stand below, and in the tests of the zoo
    "from zeros, whole": (False, False),
    "from a state, packed": (True, True),
}


class EveryStack(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.stacks = nn.ModuleDict({n: KINDS[kind](3, 4, **o) for n, o in STACKS.items()})

    def forward(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        outputs = {}
        for (name, layer), (call, (initial, short)) in product(self.stacks.items(), CALLS.items()):
            assert isinstance(layer, nn.RNNBase)
            steps = x if layer.batch_first else x.transpose(0, 1)
            start = self.start(layer, x) if initial else None
            given = packed(steps, lengths, layer.batch_first) if short else steps
            states, last = layer(given, start)
            if short:
                states, _ = pad_packed_sequence(
                    states, batch_first=layer.batch_first, total_length=x.shape[1]
                )
            ends = last if isinstance(last, tuple) else (last,)
            outputs[f"{name}, {call}"] = torch.cat([t.flatten() for t in (states, *ends)])
        return outputs

    @staticmethod
    def start(layer: nn.RNNBase, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        count = layer.num_layers * (2 if layer.bidirectional else 1)
        each = torch.arange(count)[:, None, None] / 8
        h = (x.mean(1)[None, :, :1] + each).expand(-1, -1, 4)
        return (h, 2 * h) if isinstance(layer, nn.LSTM) else h


class Compared(NamedTuple):
    graph: onnx.GraphProto
    expected: list[dict[str, np.ndarray]]
    found: list[dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=KINDS)
def every(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """All outputs of all stacks of one kind, at every one of SIZES."""
    torch.manual_seed(0)
    module = EveryStack(request.param).eval()
    path = tmp_path_factory.mktemp("every") / "m.onnx"
    model = exported((module, SIGNATURE), path)
    session = ort.InferenceSession(str(path))
    expected, found = [], []
    for batch, time in SIZES:
        feed = feeds(batch, time)
        with torch.no_grad():
            wanted = module(**{n: torch.from_numpy(a) for n, a in feed.items()})
        expected.append({n: t.numpy() for n, t in wanted.items()})
        found.append(dict(zip(wanted, session.run(None, feed), strict=True)))
    return Compared(model.graph, expected, found)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("stack", STACKS)
def test_a_layer_gives_the_same_at_every_size(every: Compared, stack: str, call: str) -> None:
    name = f"{stack}, {call}"
    for expected, found in zip(every.expected, every.found, strict=True):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_there_is_a_node_a_level_and_nothing_is_unrolled(every: Compared) -> None:
    levels = sum(int(o.get("num_layers", 1)) for o in STACKS.values())
    nodes = [n.op_type for n in every.graph.node]
    assert sum(n in ("RNN", "LSTM", "GRU") for n in nodes) == levels * len(CALLS)
    assert not {"Loop", "Scan", "If", "Tanh", "Sigmoid", "MatMul"} & set(nodes)


def test_weights_are_constants_as_they_stand(every: Compared) -> None:
    constants = {t.name for t in every.graph.initializer}
    for node in every.graph.node:
        if node.op_type in ("RNN", "LSTM", "GRU"):
            assert {name for name in node.input[1:4] if name} <= constants


# Around the layers


class Around(nn.Module):
    """A function of a layer and the inputs."""

    def __init__(
        self, function: Callable[[nn.Module, Tensor, Tensor], object], layer: nn.Module
    ) -> None:
        super().__init__()
        self.function, self.layer = function, layer

    def forward(self, x: Tensor, lengths: Tensor) -> object:
        return self.function(self.layer, x, lengths)


def lstm(**options: int) -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(3, 4, batch_first=True, **options)


def up_to_the_longest_row(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    return pad_packed_sequence(layer(packed(x, lengths))[0], batch_first=True)


def filled_with_a_number(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    states = layer(packed(x, lengths))[0]
    return pad_packed_sequence(states, True, padding_value=-1.5, total_length=x.shape[1])


def longer_than_the_input(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    return pad_packed_sequence(layer(packed(x, lengths))[0], True, total_length=12)


def packed_for_nothing(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    states, _ = pad_packed_sequence(packed(x, lengths), True, total_length=x.shape[1])
    return layer(states)[0]


def packed_from_one_to_the_next(layer: nn.ModuleList, x: Tensor, lengths: Tensor) -> object:
    return layer[1](layer[0](packed(x, lengths))[0])[1]


def called_twice(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    return layer(layer(x)[0])[0], lengths


def without_a_batch(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    states, (h, c) = layer(x[0])
    return states, layer(x[0], (h, c))[1], lengths


def two_layers() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList([nn.RNN(3, 4), nn.GRU(4, 5, bidirectional=True)])


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (up_to_the_longest_row, lstm()),
        (filled_with_a_number, lstm()),
        (longer_than_the_input, lstm()),
        (packed_for_nothing, lstm()),
        (packed_from_one_to_the_next, two_layers()),
        (called_twice, nn.GRU(3, 3, batch_first=True)),
        (called_twice, nn.RNN(3, 3, nonlinearity="relu", batch_first=True)),
        (without_a_batch, lstm(num_layers=2)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_stands_around_a_layer_keeps_its_meaning(
    function: Callable[[nn.Module, Tensor, Tensor], object], layer: nn.Module, tmp_path: Path
) -> None:
    module = Around(function, layer).eval()
    exported((module, SIGNATURE), tmp_path / "m.onnx")
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    for batch, time in SIZES:
        feed = feeds(batch, time)
        with torch.no_grad():
            expected = module(**{n: torch.from_numpy(a) for n, a in feed.items()})
        flat = [t.numpy() for _, t in structure.flatten(expected)]
        for a, b in zip(session.run(None, feed), flat, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
            assert a.dtype == b.dtype


def test_a_length_of_the_signature_that_is_fixed_is_not_unrolled_either(tmp_path: Path) -> None:
    made = models.recurrent()[0], "x: float32[batch, 8, 3]\nwhere batch = 1..6"
    assert operators(exported(made, tmp_path / "m.onnx")).count("LSTM") == 1


# What it does not do


class OwnForward(nn.GRU):
    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * 2, x


def looks_inside(layer: nn.Module, x: Tensor, lengths: Tensor) -> object:
    return layer(packed(x, lengths))[0].data.sum(), x


REFUSED = {
    "packed data": (looks_inside, lstm(), "'Packed' object has no attribute 'data'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_has_no_node(case: str, tmp_path: Path) -> None:
    function, layer, reason = REFUSED[case]
    with pytest.raises(ExportRefused, match=reason):
        exported((Around(function, layer).eval(), SIGNATURE), tmp_path / "m.onnx")


@pytest.mark.parametrize("function", [up_to_the_longest_row, looks_inside])
def test_leaves_the_model_and_torch_as_they_were(
    function: Callable[[nn.Module, Tensor, Tensor], object], tmp_path: Path
) -> None:
    module = Around(function, lstm()).eval()
    before = set(vars(module.layer)), set(module.state_dict())
    functions = rnn.pack_padded_sequence.__code__, rnn.pad_packed_sequence.__code__
    try:
        exported((module, SIGNATURE), tmp_path / "m.onnx")
    except ExportRefused:
        assert function is looks_inside
    assert (set(vars(module.layer)), set(module.state_dict())) == before
    assert (rnn.pack_padded_sequence.__code__, rnn.pad_packed_sequence.__code__) == functions
