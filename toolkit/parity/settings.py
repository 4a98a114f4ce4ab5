"""What each normalization is told, in the file and in the original.

An epsilon of 1e-11 in place of 1e-12 shows in no output of float32, until rows come that hardly
vary. So it is compared as weights are: by the name of the one that a normalization scales by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING

import numpy as np

from toolkit.artifact import OnnxArtifact, read_outline
from toolkit.parity.flaw import Flaw

if TYPE_CHECKING:
    from torch import nn

_NORMALIZATIONS = frozenset(
    {
        "BatchNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "RMSNormalization",
    }
)
_EPSILON = 1e-5
"""Of all of them, where a node does not say (onnx.ai/onnx/operators)."""

ROUNDED = 1e-6
"""An attribute is a float32: off by at most 6e-8 of itself."""


@dataclass(frozen=True)
class Setting:
    """One normalization: the weight that it scales by, and what it is told."""

    weight: str
    epsilon: float
    axis: int | None = None
    """The first that it goes over, counted from the last; None where it is not told one so."""
    place: str = ""
    """What to call it."""


def of_module(module: nn.Module) -> list[Setting]:
    """What the normalizations of a module are told, of those that scale by a weight."""
    found = []
    for name, part in module.named_modules(remove_duplicate=False):
        epsilon, shape = getattr(part, "eps", None), getattr(part, "normalized_shape", None)
        if isinstance(epsilon, float) and getattr(part, "weight", None) is not None:
            axis = -len(shape) if isinstance(shape, tuple) else None
            found.append(Setting(f"{name}.weight" if name else "weight", epsilon, axis, name))
    return found


def of_file(artifact: OnnxArtifact) -> list[Setting]:
    """Those of the main graph of a file, of those that scale by an initializer."""
    graph = read_outline(artifact.path).graph
    kept = {t.name: t.name for t in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in kept:  # equal weights are one
            kept[node.output[0]] = kept[node.input[0]]
        if node.op_type in _NORMALIZATIONS and len(node.input) > 1 and node.input[1] in kept:
            told = {a.name: a for a in node.attribute}
            epsilon = told["epsilon"].f if "epsilon" in told else _EPSILON
            axis = told["axis"].i if "axis" in told and told["axis"].i < 0 else None
            found.append(Setting(kept[node.input[1]], epsilon, axis, node.name))
    return found


def unsettled(
    original: Sequence[Setting], found: Iterable[Setting], weights: Mapping[str, np.ndarray]
) -> list[Flaw]:
    """Each normalization of a file that is told something else.

    `weights`: those of the original. Where several are equal, a file may keep one of them for all:
    then it may say what any of their modules says.
    """
    flaws = []
    known = {setting.weight: setting for setting in original}
    for setting in found:
        own = known.get(setting.weight)
        if own is None:
            continue
        meant = [o for o in original if _same(weights, o.weight, own.weight)]
        if not any(isclose(o.epsilon, setting.epsilon, rel_tol=ROUNDED) for o in meant):
            expected = " or ".join(sorted({f"{o.epsilon:g}" for o in meant}))
            what = f"has epsilon {setting.epsilon:.6g}, expected {expected}"
        elif setting.axis is not None and (axes := {o.axis for o in meant if o.axis is not None}):
            if setting.axis in axes:
                continue
            expected = " or ".join(map(str, sorted(axes)))
            what = f"goes over axes from {setting.axis}, expected {expected}"
        else:
            continue
        flaws.append(Flaw(f"normalization '{setting.place}' {what}", setting.place))
    return flaws


def _same(weights: Mapping[str, np.ndarray], one: str, other: str) -> bool:
    if one == other:
        return True
    ours, theirs = weights.get(one), weights.get(other)
    return ours is not None and theirs is not None and np.array_equal(ours, theirs)
