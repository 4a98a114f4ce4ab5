"""How much of each layer's signal a rounded graph keeps. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf, log10

import numpy as np

from toolkit.parity.landmarks import Landmark, Step
from toolkit.parity.likeness import agree
from toolkit.parity.located import Layer
from toolkit.parity.sketch import Sketch, apart

_ROUNDING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


def sensitivity(
    steps: Sequence[Step],
    values: Mapping[str, Sketch],
    landmarks: Sequence[Landmark],
    named: Mapping[str, int],
) -> tuple[Layer, ...]:
    """The lowest SQNR of the floating values of each module, and its error in yardsticks.

    SQNR: 10 log10(sum r^2 / sum (r - c)^2) in dB over a value's sketch; inf where equal. A module
    that is not noted is called after the node. Steps that round are left out: they are read.
    """
    layers: dict[str, Layer] = {}
    for step in steps:
        for name in step.outputs:
            if name not in values or name not in named or step.operator in _ROUNDING:
                continue
            mark, value = landmarks[named[name]], values[name]
            if mark.sketch.size != value.size or mark.sketch.whole:
                continue
            ratio = value.distance(mark.sketch) / mark.yardstick if mark.yardstick else 0.0
            module = mark.module or step.module or step.node
            layer = Layer(module, ratio, sqnr(mark.sketch, value))
            known = layers.get(module)
            if known is None or (layer.sqnr or 0.0) < (known.sqnr or 0.0):
                layers[module] = layer
    return tuple(layers.values())


def sqnr(reference: Sketch, candidate: Sketch) -> float:
    """In dB over the finite elements of the reference; inf where the two are equal there."""
    kept = np.isfinite(reference.elements)
    noise = float((apart(reference.elements, candidate.elements)[kept] ** 2).sum())
    signal = float((reference.elements[kept] ** 2).sum())
    if noise == 0.0:
        return inf
    return 10.0 * log10(signal / noise) if signal and np.isfinite(noise) else -inf


def nearest(
    steps: Sequence[Step], values: Mapping[str, Sketch], landmarks: Sequence[Landmark]
) -> dict[str, int]:
    """For each value the landmark of its module and size that has the highest SQNR to it.

    None for whole numbers (sums before they are scaled), nor where noise outweighs the signal: that
    is another value.
    """
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for index, mark in enumerate(landmarks):
        if mark.sketch.telling and not mark.sketch.whole:
            by_size[mark.sketch.size].append(index)
    found = {}
    for step in steps:
        for name in step.outputs:
            if name in values and values[name].telling and not values[name].whole:
                fitting = [
                    i for i in by_size[values[name].size] if agree(step.module, landmarks[i].module)
                ]
                if fitting:
                    value = values[name]
                    kept, best = max((sqnr(landmarks[i].sketch, value), i) for i in fitting)
                    if kept > 0:
                        found[name] = best
    return found
