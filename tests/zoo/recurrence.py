"""Recurrent layers from their formulas in numpy, row by row, and what their graphs must be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from toolkit import zoo
from toolkit.signature import Signature

Cell = Callable[..., tuple[np.ndarray, np.ndarray]]
"""(W_ih, W_hh, b_ih, b_hh, x_t, h, c) to the next (h, c); a layer without c passes it on."""

LENGTHS = [
    (4, [1, 4, 3, 4]),
    (6, [2, 6, 9, 1]),  # 9 is longer than the input: it counts as 6
    (1, [1, 1, 5, 9]),
]
"""A time, and the lengths of four rows."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result


def built(name: str, **arguments: object) -> tuple[nn.Module, Signature]:
    """A small one of the zoo."""
    small = {"features": 3, "hidden": 5, "steps": 9}
    module, signature = zoo.build(name, **(small | arguments))
    return module.eval(), signature


def drawn(time: int, lengths: list[int]) -> dict[str, np.ndarray]:
    x = np.random.default_rng(0).uniform(-4, 4, (len(lengths), time, 3))
    return {"x": x.astype(np.float32), "lengths": np.array(lengths)}


def ran(subject: nn.Module | Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The only output, of the module or of the ONNX file."""
    result: np.ndarray
    if isinstance(subject, Path):
        (result,) = ort.InferenceSession(str(subject)).run(None, feeds)
        return result
    with torch.no_grad():
        (tensor,) = subject(**{n: torch.from_numpy(a) for n, a in feeds.items()}).values()
    result = tensor.numpy()
    return result


def states(layers: nn.RNNBase, cell: Cell, row: np.ndarray) -> list[np.ndarray]:
    """The top layer over one row [time, features] without padding: [time, hidden] a direction."""
    weights = {n: p.detach().double().numpy() for n, p in layers.named_parameters()}
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    steps, found = row.astype(np.float64), []
    for level in range(layers.num_layers):
        found = []
        for way in ("", "_reverse") if layers.bidirectional else ("",):
            own = [weights[f"{kind}_l{level}{way}"] for kind in kinds]
            h = c = np.zeros(layers.hidden_size)
            passed = []
            for x in steps[::-1] if way else steps:
                h, c = cell(*own, x, h, c)
                passed.append(h)
            found.append(np.array(passed[::-1] if way else passed))
        steps = np.concatenate(found, axis=-1)
    return found


def classified(module: nn.Module, cell: Cell, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What a classifier of the zoo must give: softmax of the dense layer on the final states."""
    layers, dense = module.layers, module.dense
    assert isinstance(layers, nn.RNNBase)
    assert isinstance(dense, nn.Linear)
    rows = []
    for row, length in zip(feeds["x"], feeds["lengths"], strict=True):
        forwards, *backwards = states(layers, cell, row[:length])
        rows.append(np.concatenate([forwards[-1], *(b[0] for b in backwards)]))
    weight, bias = (p.detach().double().numpy() for p in (dense.weight, dense.bias))
    powers = np.exp(np.array(rows) @ weight.T + bias)
    result: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return result


def assert_native(path: Path, operator: str, levels: int) -> None:
    """One node a level, with its weights as constants and its lengths from the input."""
    graph = onnx.load(str(path)).graph
    nodes = [n for n in graph.node if n.op_type == operator]
    assert len(nodes) == levels
    assert not {"Loop", "Scan", "If", "Sigmoid", "Tanh"} & {n.op_type for n in graph.node}
    constants = {t.name for t in graph.initializer}
    producers = {output: n for n in graph.node for output in n.output}
    for node in nodes:
        assert set(node.input[1:4]) <= constants
        assert "lengths" in _sources(node.input[4], producers)


def _sources(name: str, producers: dict[str, onnx.NodeProto]) -> set[str]:
    """The graph inputs and constants that a value is computed from."""
    if name not in producers:
        return {name}
    return set().union(*(_sources(i, producers) for i in producers[name].input if i))
