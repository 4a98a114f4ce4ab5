"""Two ways to one answer: what a model returns must not depend on how it is asked. Pure.

    batch     a row alone, and beside others
    padding   a text alone, and with masked positions after it or before it
    state     one run over a length, and runs over its parts with the state carried; and some
              runs of both models, each with its own state carried

Which of these a model keeps is seen by asking the original itself (`toolkit.parity.relating`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from toolkit.errors import InputError
from toolkit.examples import Feeds, is_mask
from toolkit.parity.expectation import Arrays
from toolkit.plugins import Session
from toolkit.sequence import PAST, PRESENT
from toolkit.signature import Signature, TensorSpec

BATCH, PADDING, STATE = "batch", "padding", "state"

_STEPS = 4
"""Runs in which a state is carried that has no length to cut; errors of a state show in the 2nd."""

_PADS = 3

Way = Callable[[Session], Arrays]
Drawn = Callable[[Mapping[str, int]], Feeds]
"""Makes inputs of other sizes."""


@dataclass(frozen=True)
class Relation:
    """`one` and `other` lead to the same outputs, which belong to `feeds`."""

    name: str
    what: str
    feeds: Feeds
    one: Way
    other: Way


def relations(signature: Signature, feeds: Feeds, drawn: Drawn | None) -> Iterator[Relation]:
    """All that may hold at these inputs. Without `drawn` nothing is padded.

    Raises InputError where the signature says that an output feeds an input, and there is none.
    """
    yield from _rows(signature, feeds)
    if drawn is not None:
        yield from _padded(signature, feeds, drawn)
    pairs = state_of(signature)
    if pairs:
        yield from _chunks(signature, feeds, pairs)


def sizes_of(specs: Sequence[TensorSpec], arrays: Arrays) -> dict[str, int]:
    """The size of each dimension that has a name."""
    return {
        name: size
        for spec in specs
        for name, size in zip(spec.shape, arrays[spec.name].shape, strict=True)
        if isinstance(name, str)
    }


def state_of(signature: Signature) -> dict[str, str]:
    """The output that each input of state comes from: as the signature says, or by their names."""
    outputs = {s.name for s in signature.outputs}
    found = {i: o for o, i in signature.carried}
    for spec in signature.inputs:
        theirs = PRESENT + spec.name.removeprefix(PAST)
        if spec.name.startswith(PAST) and theirs in outputs:
            found.setdefault(spec.name, theirs)
    if missing := sorted(set(found.values()) - outputs):
        raise InputError(
            f"the signature says that '{missing[0]}' feeds an input, and there is no such output",
            "outputs are: " + ", ".join(sorted(outputs)),
        )
    return found


def _rows(signature: Signature, feeds: Feeds) -> Iterator[Relation]:
    batch, sizes = signature.batch or _shared(signature), sizes_of(signature.inputs, feeds)
    if batch is None or sizes[batch] < 2 or 1 not in signature.dim(batch).sizes:
        return
    for row in (0, sizes[batch] - 1):
        part = slice(row, row + 1)
        alone = _cut(signature.inputs, feeds, batch, part)
        what = f"row {row} alone and beside {sizes[batch] - 1} others"
        beside = partial(_run, feeds=feeds, specs=signature.outputs, dim=batch, part=part)
        yield Relation(BATCH, what, alone, partial(_run, feeds=alone), beside)


def _shared(signature: Signature) -> str | None:
    """The only dimension that all inputs have once (but scalars), where it does not lead them."""
    shapes = [s.shape for s in signature.inputs if s.shape]
    found = [d.name for d in signature.dims if all(s.count(d.name) == 1 for s in shapes)]
    return found[0] if len(found) == 1 and len(shapes) > 1 else None


def _padded(signature: Signature, feeds: Feeds, drawn: Drawn) -> Iterator[Relation]:
    sizes = sizes_of(signature.inputs, feeds)
    masks = [s for s in signature.inputs if is_mask(s)]
    lengths = {n for s in masks for n in s.shape if isinstance(n, str) and n != signature.batch}
    pairs = state_of(signature)
    states = {n for s in signature.inputs if s.name in pairs for n in s.shape}
    for length in sorted(lengths - states):
        longer = next(
            (n for n in signature.dim(length).legal if sizes[length] < n <= sizes[length] + _PADS),
            None,
        )
        if longer is None:
            continue
        marks = {s.name for s in masks if length in s.shape}
        short = {n: np.ones_like(a) if n in marks else a for n, a in feeds.items()}
        around = drawn({**sizes, length: longer})
        for where, part in (
            ("after", slice(0, sizes[length])),
            ("before", slice(longer - sizes[length], longer)),
        ):
            padded = _around(signature.inputs, short, around, length, part, marks)
            what = f"{longer - sizes[length]} masked positions {where} {sizes[length]} {length}"
            state = tuple(pairs.values())  # is as long as what was fed
            one = partial(_run, feeds=short, leave=state)
            specs = [s for s in signature.outputs if s.name not in state]
            cropped = partial(_run, feeds=padded, leave=state, specs=specs, dim=length, part=part)
            yield Relation(PADDING, what, short, one, cropped)


def _around(
    specs: Sequence[TensorSpec],
    feeds: Feeds,
    around: Feeds,
    length: str,
    part: slice,
    marks: set[str],
) -> Feeds:
    """`feeds` in the midst of longer inputs, whose masks are 0 where nothing is meant."""
    found = dict(feeds)
    for spec in specs:
        if length in spec.shape:
            longer = around[spec.name].copy()
            if spec.name in marks:
                longer[...] = 0
            longer[_index(spec, length, part)] = feeds[spec.name]
            found[spec.name] = longer
    return found


def _chunks(signature: Signature, feeds: Feeds, pairs: Mapping[str, str]) -> Iterator[Relation]:
    sizes = sizes_of(signature.inputs, feeds)
    inner = {n for s in signature.inputs if s.name in pairs for n in s.shape}
    fresh = [s for s in signature.inputs if s.name not in pairs]
    times = dict.fromkeys(n for s in fresh for n in s.shape if isinstance(n, str))
    times = {n: None for n in times if n not in inner and n != signature.batch and sizes[n] > 1}
    for time in times:
        legal = signature.dim(time).sizes
        splits = [(0, sizes[time] // 2, sizes[time]), tuple(range(min(sizes[time], 8) + 1))]
        for cuts in dict.fromkeys(splits):
            slices = [slice(*ends) for ends in pairwise(cuts)]
            if any(n not in legal for n in (cuts[-1], *(s.stop - s.start for s in slices))):
                continue
            whole = _cut(fresh, feeds, time, slice(cuts[-1]))
            parts = [_cut(fresh, whole, time, part) for part in slices]
            what = f"{cuts[-1]} {time} in one run and in {len(parts)}"
            chained = partial(_carried, signature=signature, parts=parts, pairs=pairs, time=time)
            yield Relation(STATE, what, whole, partial(_run, feeds=whole), chained)
    stepped = partial(_carried, signature=signature, parts=[feeds] * _STEPS, pairs=pairs)
    yield Relation(STATE, f"{_STEPS} runs with the state carried", feeds, stepped, stepped)


def _run(
    session: Session,
    *,
    feeds: Feeds,
    leave: Sequence[str] = (),
    specs: Sequence[TensorSpec] = (),
    dim: str = "",
    part: slice = slice(None),
) -> Arrays:
    """All outputs but those to `leave`, cut where they have the dimension."""
    outputs = {n: a for n, a in session.run(feeds).items() if n not in leave}
    return _cut(specs, outputs, dim, part)


def _carried(
    session: Session,
    *,
    signature: Signature,
    parts: Sequence[Feeds],
    pairs: Mapping[str, str],
    time: str = "",
) -> Arrays:
    """Run after run with the state handed on; outputs along `time` are joined, of others the last.

    Raises InputError where the state outgrows the signature.
    """
    states = [s for s in signature.inputs if s.name in pairs]
    state: dict[str, np.ndarray] = {}
    found: list[Arrays] = []
    for part in parts:
        if state:
            for name, size in sizes_of(states, state).items():
                if size not in signature.dim(name).sizes:
                    raise InputError(f"a state with {name} = {size} is beyond the signature", "")
        found.append(session.run({**part, **state}))
        state = {name: found[-1][output] for name, output in pairs.items()}
    outputs = dict(found[-1])
    for spec in signature.outputs:
        if time in spec.shape and spec.name not in pairs.values():
            axis = spec.shape.index(time)
            outputs[spec.name] = np.concatenate([f[spec.name] for f in found], axis)
    return outputs


def _cut(
    specs: Sequence[TensorSpec], arrays: Arrays, dim: str, part: slice
) -> dict[str, np.ndarray]:
    """The arrays; of those that the specs give that dimension, a slice of it."""
    has = {s.name: s for s in specs if dim in s.shape}
    return {n: a[_index(has[n], dim, part)] if n in has else a for n, a in arrays.items()}


def _index(spec: TensorSpec, dim: str, part: slice) -> tuple[slice, ...]:
    return tuple(part if name == dim else slice(None) for name in spec.shape)
