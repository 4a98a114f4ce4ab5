"""Mutants whose numbers are wrong: weights moved, mixed up, rounded, left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.mutants import Generator, Kind, Site, array, pick, store

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _moved(site: Site, rng: Generator, *, by: float) -> bool:
    """One element, of those that are not zero."""
    if (tensor := pick(rng, site.weights())) is None:
        return False
    values = array(tensor)
    there = np.flatnonzero(values)
    if not there.size:
        return False
    values.reshape(-1)[rng.choice(there)] *= 1 + by
    return store(tensor, values)


def _whole(site: Site, rng: Generator, edit: Callable[[np.ndarray], np.ndarray], rank: int) -> bool:
    tensor = pick(rng, site.weights(rank=rank))
    return tensor is not None and store(tensor, edit(array(tensor)))


def _swapped(site: Site, rng: Generator) -> bool:
    if (tensor := pick(rng, [t for t in site.weights(rank=2) if max(t.dims) > 1])) is None:
        return False
    values = array(tensor)
    axis = int(np.argmax(values.shape))
    one, other = rng.choice(values.shape[axis], 2, replace=False)
    order = np.arange(values.shape[axis])
    order[[one, other]] = order[[other, one]]
    return store(tensor, values.take(order, axis))


def _transposed(site: Site, rng: Generator) -> bool:
    square = [t for t in site.weights(rank=2) if len(t.dims) == 2 and t.dims[0] == t.dims[1]]
    tensor = pick(rng, square)
    return tensor is not None and store(tensor, array(tensor).T)


def _bias_dropped(site: Site, rng: Generator) -> bool:
    vectors = [t for t in site.weights() if len(t.dims) == 1]
    tensor = pick(rng, vectors)
    return tensor is not None and store(tensor, np.zeros_like(array(tensor)))


def _head_zeroed(site: Site, rng: Generator) -> bool:
    """A quarter of the columns of a square matrix, as of one of four heads."""
    square = [t for t in site.weights(rank=2) if len(t.dims) == 2 and t.dims[0] == t.dims[1] >= 4]
    if (tensor := pick(rng, square)) is None:
        return False
    values = array(tensor)
    width = values.shape[1] // 4
    at = int(rng.integers(4)) * width
    values[:, at : at + width] = 0
    return store(tensor, values)


def _gates_swapped(site: Site, rng: Generator) -> bool:
    """Two gates of a recurrent node, as where one takes PyTorch's order for ONNX's."""
    gates = _GATES[site.node.op_type]
    tensor = site.weight(site.node.input[1])
    if gates < 2 or tensor is None:
        return False
    values = array(tensor)
    parts = np.split(values, gates, axis=1)
    parts[0], parts[1] = parts[1], parts[0]
    return store(tensor, np.concatenate(parts, axis=1))


def _half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(values.dtype)


def _brain(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = torch.from_numpy(values).bfloat16().float().numpy()
    return found


def _added(values: np.ndarray) -> np.ndarray:
    return values * 1.001


KINDS = (
    Kind("a weight moved by 0.1 %", partial(_moved, by=0.001)),
    Kind("a weight moved by 1 %", partial(_moved, by=0.01)),
    Kind("a weight moved by 10 %", partial(_moved, by=0.1)),
    Kind("a weight of the other sign", partial(_moved, by=-2.0)),
    Kind("all of a tensor scaled by 0.1 %", partial(_whole, edit=_added, rank=1)),
    Kind("two rows swapped", _swapped),
    Kind("a square weight transposed", _transposed),
    Kind("a bias dropped", _bias_dropped),
    Kind("a weight through float16", partial(_whole, edit=_half, rank=2)),
    Kind("a weight truncated to bfloat16", partial(_whole, edit=_brain, rank=2)),
    Kind("a head zeroed", _head_zeroed),
    Kind("gates in another order", _gates_swapped, frozenset(_GATES)),
)
