"""Does a file keep its own promises? What it declares of its inputs and outputs, held to facts.

Exporters leave sizes of the traced example in the declared outputs; runtimes warn, strict ones
refuse, and onnxsim then writes a graph that fails. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolkit.artifact import Declared
from toolkit.signature import Signature, TensorSpec


def input_problems(declared: tuple[Declared, ...], signature: Signature) -> list[str]:
    """What keeps a file from accepting everything that the signature promises."""
    files = {d.name: d for d in declared}
    problems = [
        f"the file has no input '{s.name}'" for s in signature.inputs if s.name not in files
    ]
    known = {s.name: s for s in signature.inputs}
    for name, found in files.items():
        if name not in known:
            problems.append(f"the file wants another input '{name}'")
        elif found.dtype != known[name].dtype:
            problems.append(f"input '{name}' is {found.dtype}, declared {known[name].dtype}")
        else:
            problems += _narrower(found, known[name])
    return problems


def _narrower(found: Declared, spec: TensorSpec) -> list[str]:
    if found.shape is None:
        return []
    if len(found.shape) != len(spec.shape):
        return [f"input '{spec.name}' has rank {len(found.shape)}, declared {len(spec.shape)}"]
    return [
        f"input '{spec.name}' is fixed to {size} in axis {axis}, declared '{wanted}'"
        for axis, (size, wanted) in enumerate(zip(found.shape, spec.shape, strict=True))
        if isinstance(size, int) and size != wanted
    ]


def output_problems(
    declared: tuple[Declared, ...],
    outputs: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
) -> list[str]:
    """Where an output that came differs from its declaration, dimension names included.

    A name that is no dimension of the case must stand for one size throughout.
    """
    bound = dict(sizes)
    problems = []
    for promise in declared:
        if promise.name not in outputs:
            problems.append(f"output '{promise.name}' is declared and does not come out")
            continue
        array = outputs[promise.name]
        if str(array.dtype) != promise.dtype:
            problems.append(f"'{promise.name}' is declared {promise.dtype}, comes as {array.dtype}")
        if promise.shape is None:
            continue
        expected = tuple(
            bound.setdefault(n, came) if isinstance(n, str) else n
            for n, came in zip(promise.shape, (*array.shape, *[0] * 8), strict=False)
        )
        if len(expected) != array.ndim or any(
            n is not None and n != came for n, came in zip(expected, array.shape, strict=False)
        ):
            text = ", ".join("?" if n is None else str(n) for n in promise.shape)
            problems.append(f"'{promise.name}' is declared [{text}], comes as {list(array.shape)}")
    return problems
