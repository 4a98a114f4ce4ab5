"""What would mend a file whose fault no output shows: weights, what nodes are told, casts. Pure.

An exporter may fold a factor into a weight, and fuse what a module wrote out: that a file says
something else than its original proves nothing. So each of these is a suspicion, and a fault only
where the file with the original's own value in its place is far nearer to the original, both in
float64. After a fold it is farther away. See `toolkit.pipeline.mended`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isclose
from typing import TYPE_CHECKING

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.parity.flaw import Flaw
from toolkit.parity.operators import ATTRIBUTES, Told, Value, nodes, says
from toolkit.parity.settings import ROUNDED
from toolkit.parity.weights import Pair, departing
from toolkit.proto import all_nodes

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

Arrays = Mapping[str, np.ndarray]

FEW = 4
"""Suspicions of one kind: of a file where more has changed, nothing can be said one by one."""

_SHORTER = {DTYPES[name].onnx: name for name in ("float16", "bfloat16")}

_NEARER = 10.0
"""Times by which the error must fall. For a Gelu of BERT it was 750 times, for a factor of 1.001 in
the weight of a norm 10^9; what is left is the rounding of constants to float32."""

_COARSER = 2.0
"""Times the original's own error. What rounds where the original does is as far off as it is, or
less, by as much as it rounds nowhere else."""

_SHORT = 1e-5
"""The own error, over the largest value, of an original that rounds to less than float32: 100 times
the epsilon of float32, a hundredth of that of float16."""

_ROUNDING = 1e-12
"""Of an output's largest value: what sums of thousands of terms differ by in float64."""


@dataclass(frozen=True)
class Mend:
    """A fault that is suspected, and what undoes it in the model, in place."""

    flaw: Flaw
    apply: Callable[[ModelProto], None]
    rounding: bool = False
    """It is a matter of precision: none where the original rounds as coarsely itself."""


def of_weights(original: Arrays, found: Arrays) -> list[Mend]:
    """The original's own numbers for each weight that has others; then for all of them at once."""
    pairs = departing(original, found, most=FEW)
    groups = [[pair] for pair in pairs] + ([pairs] if len(pairs) > 1 else [])
    return [Mend(Flaw(g[0].told(), g[0].stored), partial(_put_back, g)) for g in groups]


def of_operators(
    model: ModelProto, told: Iterable[Told], module: Callable[[NodeProto], str]
) -> list[Mend]:
    """Another value for all nodes that say one which the original never says.

    In the `module` that a node comes from, where that one says anything; else anywhere.
    """
    known: defaultdict[tuple[str, str], dict[tuple[str, Value], None]] = defaultdict(dict)
    for one in told:
        known[one.operator, one.argument][one.module, one.value] = None
    found: defaultdict[tuple[str, Value, Value], list[int]] = defaultdict(list)
    first: dict[tuple[str, Value, Value], NodeProto] = {}
    for number, node in enumerate(nodes(model)):
        for name, value in says(node):
            sources = ATTRIBUTES[node.op_type, name].sources
            pairs = [p for o, a in sources.items() for p in known.get((o, str(a)), ())]
            inside = [meant for where, meant in pairs if where == module(node)]
            values = dict.fromkeys(inside or (meant for _, meant in pairs))
            if any(_same(meant, value) for meant in values):
                continue
            for meant in values:
                found[name, value, meant].append(number)
                first.setdefault((name, value, meant), node)
    return [
        Mend(
            Flaw(_says_wrong(first[key], *key), first[key].name),
            partial(_tell, numbers=tuple(numbers), name=key[0], value=key[2]),
        )
        for key, numbers in list(found.items())[:FEW]
    ]


def _says_wrong(node: NodeProto, name: str, value: Value, meant: Value) -> str:
    told = f"{name} {_text(value)}, expected {_text(meant)}"
    return f"node '{node.name}' ({node.op_type}) has {told}"


def of_casts(model: ModelProto) -> list[Mend]:
    """No step through a shorter float, at all nodes that take one."""
    found = next(_rounding(model), None)
    if found is None:
        return []
    node, to = found
    told = f"node '{node.name}' (Cast) rounds to {_SHORTER[to.i]}, the original does not"
    return [Mend(Flaw(told, node.name), _unrounded, rounding=True)]


def _rounding(model: ModelProto) -> Iterator[tuple[NodeProto, AttributeProto]]:
    declared = {output.name for output in model.graph.output}  # what an output is, it says itself
    for node in all_nodes(model):
        inner = node.op_type == "Cast" and node.output[0] not in declared
        for attribute in node.attribute if inner else ():
            if attribute.name == "to" and attribute.i in _SHORTER:
                yield node, attribute


def _unrounded(model: ModelProto) -> None:
    for _, to in _rounding(model):
        to.i = DTYPES["float32"].onnx


def errors(truth: Arrays, got: Arrays) -> dict[str, float]:
    """By output, the largest error over the largest value; infinite where the form is another."""
    return {name: _error(array, got[name]) for name, array in truth.items() if name in got}


def is_mended(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Is one output far nearer than before, and none farther away?"""
    nearer = [n for n, e in before.items() if e > _ROUNDING and after[n] * _NEARER < e]
    farther = [n for n, e in before.items() if after[n] > max(2 * e, _ROUNDING)]
    return bool(nearer) and not farther


def exceeds(found: Mapping[str, float], own: Mapping[str, float]) -> bool:
    """Is the file off in an output in which the original does not round as coarsely itself?"""
    return any(
        e > _ROUNDING and not (own[name] > _SHORT and own[name] * _COARSER >= e)
        for name, e in found.items()
    )


def _error(truth: np.ndarray, got: np.ndarray) -> float:
    if truth.shape != got.shape:
        return np.inf
    if DTYPES[str(got.dtype)].kind != "f":
        return float(not np.array_equal(truth, got))
    theirs, ours = got.astype(np.float64), truth.astype(np.float64)
    finite = np.isfinite(ours)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return np.inf
    far = np.abs(theirs[finite] - ours[finite]).max(initial=0.0)
    return float(far / (np.abs(ours[finite]).max(initial=0.0) or 1.0))


def _put_back(pairs: Sequence[Pair], model: ModelProto) -> None:
    from onnx import numpy_helper

    stored: dict[str, TensorProto] = {t.name: t for t in model.graph.initializer}
    for pair in pairs:
        values = pair.original if pair.stored == pair.name else pair.original.T
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), pair.stored)
        stored[pair.stored].CopyFrom(tensor)


def _tell(model: ModelProto, *, numbers: Sequence[int], name: str, value: Value) -> None:
    from onnx import helper

    there = list(nodes(model))
    for number in numbers:
        node = there[number]
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return isclose(one, other, rel_tol=ROUNDED)


def _text(value: Value) -> str:
    return f"'{value}'" if isinstance(value, str) else f"{value:.6g}"
