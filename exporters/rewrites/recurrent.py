"""nn.RNN, nn.LSTM and nn.GRU as the native nodes of ONNX.

torch.export unrolls a recurrent layer over the length of the example. Here each layer of the model
is, while it is traced, one symbolic ONNX node a level, with its weights in the order of ONNX; and
`pack_padded_sequence` only notes the lengths, which are the node's `sequence_lens`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn.utils import rnn

from exporters.rewrites import Family, projections
from exporters.rewrites.calls import forwarding


@contextmanager
def _tracing(model: nn.Module) -> Iterator[None]:
    layers = [(m, kind) for m in model.modules() if (kind := _kind(m))]
    with ExitStack() as stack:
        if layers:
            stack.enter_context(_code(rnn.pack_padded_sequence, _pack_padded_sequence))
            stack.enter_context(_code(rnn.pad_packed_sequence, _pad_packed_sequence))
        for layer, kind in layers:
            assert isinstance(layer, nn.RNNBase)
            stack.enter_context(_native(layer, kind))
        yield


FAMILY = Family("recurrent", tracing=_tracing)


class Kind(NamedTuple):
    """An ONNX operator, its gates by their numbers in PyTorch, and what it is told besides."""

    operator: str
    gates: tuple[int, ...]
    attributes: dict[str, int]


_KINDS: dict[type[nn.Module], Kind] = {
    nn.RNN: Kind("RNN", (0,), {}),
    nn.LSTM: Kind("LSTM", (0, 3, 1, 2), {}),  # i f g o -> i o f c
    nn.GRU: Kind("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # r z n -> z r h
}


class Packed(NamedTuple):
    """What stands for a PackedSequence: the steps [time, batch, ...], and how many count."""

    steps: Tensor
    lengths: Tensor
    padded: bool
    """Are the steps after a row's end zeros?"""


def _kind(module: nn.Module) -> Kind | None:
    """None for what is no recurrent layer, or has a forward of its own."""
    return next(
        (
            kind
            for layer, kind in _KINDS.items()
            if isinstance(module, layer) and type(module).forward is layer.forward
        ),
        None,
    )


@contextmanager
def _native(layer: nn.RNNBase, kind: Kind) -> Iterator[None]:
    """The layer with weights as ONNX has them, and a forward that is ONNX nodes."""
    names = []
    try:
        for level in range(layer.num_layers):
            for name, tensor in _weights(layer, kind, level).items():
                layer.register_buffer(f"{name}_l{level}", tensor)
                names.append(f"{name}_l{level}")
        with forwarding(layer, _forward, kind):
            yield
    finally:
        for name in names:
            delattr(layer, name)


def _weights(layer: nn.RNNBase, kind: Kind, level: int) -> dict[str, Tensor]:
    """W and R [directions, gates * hidden, in or hidden], B [directions, 2 * gates * hidden].

    With projections also P, and W for steps that hold a first state: see `projections`.
    """
    directions = projections.directions(layer)

    def ordered(name: str) -> Tensor:
        chunks = getattr(layer, name).detach().chunk(len(kind.gates))
        return torch.cat([chunks[gate] for gate in kind.gates])

    def stacked(*names: str) -> Tensor:
        return torch.stack(
            [torch.cat([ordered(f"{n}_l{level}{d}") for n in names]) for d in directions]
        )

    found = {"W": stacked("weight_ih"), "R": stacked("weight_hh")}
    if layer.proj_size:
        found["W_first"] = projections.widened(found["W"], found["R"])
        found |= projections.folded(found["R"], layer, level)
    return found | ({"B": stacked("bias_ih", "bias_hh")} if layer.bias else {})


def _forward(
    layer: nn.RNNBase,
    kind: Kind,
    input: Tensor | Packed,  # noqa: A002
    hx: Any = None,
) -> tuple[Any, Any]:
    """What `layer` computes, as ONNX nodes: for a tensor, batched or not, or for `Packed`."""
    lengths = input.lengths if isinstance(input, Packed) else None
    steps = input.steps if isinstance(input, Packed) else input
    start = () if hx is None else (hx,) if isinstance(hx, Tensor) else tuple(hx)
    if alone := steps.dim() == 2:
        steps, start = steps.unsqueeze(1), tuple(s.unsqueeze(1) for s in start)
    elif layer.batch_first and lengths is None:
        steps = steps.transpose(0, 1)
    ends = []
    for level in range(layer.num_layers):
        steps, *end = _node(layer, kind, level, steps, lengths, start)
        ends.append(end)
    last = tuple(torch.cat(e) if len(e) > 1 else e[0] for e in zip(*ends, strict=True))
    if alone:
        steps, last = steps.squeeze(1), tuple(e.squeeze(1) for e in last)
    elif layer.batch_first and lengths is None:
        steps = steps.transpose(0, 1)
    result = steps if lengths is None else Packed(steps, lengths, padded=True)
    return result, last if len(last) > 1 else last[0]


def _node(
    layer: nn.RNNBase,
    kind: Kind,
    level: int,
    steps: Tensor,
    lengths: Tensor | None,
    start: Sequence[Tensor],
) -> list[Tensor]:
    """One level: all states [time, batch, directions * hidden], then the last h and c."""
    directions = 2 if layer.bidirectional else 1
    time, batch = steps.shape[:2]
    own = slice(level * directions, (level + 1) * directions)
    initial = [s[own] if layer.num_layers > 1 else s for s in start]
    weights = [getattr(layer, f"{n}_l{level}", None) for n in "WRB"]
    projection = getattr(layer, f"P_l{level}", None)
    inputs = [steps, *weights, lengths, *initial]
    if projection is not None and initial:
        wide = projections.with_first_state(steps, initial[0], lengths)
        inputs = [
            wide,
            getattr(layer, f"W_first_l{level}"),
            *weights[1:],
            lengths,
            None,
            initial[1],
        ]
    while inputs[-1] is None:
        inputs.pop()
    attributes: dict[str, Any] = {
        "hidden_size": layer.hidden_size,
        "direction": "bidirectional" if layer.bidirectional else "forward",
        **kind.attributes,
    }
    if layer.mode.startswith("RNN_"):
        attributes["activations"] = [layer.mode.removeprefix("RNN_").capitalize()] * directions
    end = (directions, batch, layer.hidden_size)
    shapes = [(time, *end), end, end][: 3 if kind.operator == "LSTM" else 2]
    states, *last = torch.onnx.ops.symbolic_multi_out(
        kind.operator, inputs, attributes, dtypes=[steps.dtype] * len(shapes), shapes=shapes
    )
    if projection is not None:
        states, last = states @ projection, [last[0] @ projection, *last[1:]]
    one = states.transpose(1, 2).flatten(2) if directions > 1 else states.squeeze(1)
    return [one, *last]


@contextmanager
def _code(function: Callable[..., Any], other: Callable[..., Any]) -> Iterator[None]:
    """Give a function the code of another: it is what others imported, under whatever name."""
    own = function.__code__
    function.__code__ = other.__code__
    try:
        yield
    finally:
        function.__code__ = own


# These two run in torch's module, whose globals they see: they name all that they need.


def _pack_padded_sequence(
    input: Any,  # noqa: A002
    lengths: Any,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> Any:
    from exporters.rewrites.recurrent import pack

    return pack(input, lengths, batch_first)


def _pad_packed_sequence(
    sequence: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> Any:
    from exporters.rewrites.recurrent import pad

    return pad(sequence, batch_first, padding_value, total_length)


def pack(tensor: Tensor, lengths: Tensor | Sequence[int], batch_first: bool) -> Packed:
    """Rows need no order in ONNX: `enforce_sorted` is nothing to it."""
    steps = tensor.transpose(0, 1) if batch_first else tensor
    return Packed(steps, torch.as_tensor(lengths).to(torch.int32), padded=False)


def pad(
    packed: Packed, batch_first: bool, value: float, total_length: int | None
) -> tuple[Tensor, Tensor]:
    """As `pad_packed_sequence`: up to the longest row where no total length is given."""
    steps, lengths = packed.steps, packed.lengths
    time = steps.shape[0]
    if value or not packed.padded:
        counts = torch.arange(time)[:, None] < lengths[None]
        counts = counts.reshape(*counts.shape, *[1] * (steps.dim() - 2))
        steps = torch.where(counts, steps, value)
    if total_length is None:
        longest = lengths.max().item()
        torch._check(longest <= time)
        steps = steps[:longest]
    elif not statically_known_true(total_length == time):
        more = [0, 0] * (steps.dim() - 1) + [0, total_length - time]
        steps = nn.functional.pad(steps, more, value=value)
    return (steps.transpose(0, 1) if batch_first else steps), lengths.to(torch.int64)
