"""The whole proposal: sizes, then values; what the examples show and what trials say.

The exporters and the parity check then prove it, or say in which narrower one it holds
(`toolkit.pipeline.infer`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from toolkit import given
from toolkit.calls import Call, named
from toolkit.domain import Choices
from toolkit.errors import InputError
from toolkit.examples import Feeds
from toolkit.model import to_tensor
from toolkit.proposal.sizes import named_axes, sizes_of
from toolkit.proposal.trials import Trials
from toolkit.proposal.values import Values
from toolkit.signature import Signature, TensorSpec


@dataclass(frozen=True)
class Proposal:
    """A signature, how the examples call the module, and what was found out on the way."""

    signature: Signature
    call: Call | None
    feeds: tuple[Feeds, ...]
    notes: tuple[str, ...]


def propose(module: nn.Module, examples: Any) -> Proposal:
    """Find the widest signature that a module in eval mode accepts around its examples.

    `examples`: as `toolkit.given` takes them. Raises InputError where the module refuses one.
    """
    call, feeds = _called(module, examples)
    ordered = sorted(feeds, key=lambda feed: -sum(a.size for a in feed.values()))
    making = call or named(module, _specs(feeds[0]))
    seen = [[to_tensor(f[s.name], s.dtype) for s in _specs(feeds[0])] for f in ordered]
    trials = Trials(module, making, seen)
    found, notes = sizes_of(trials, making.names, seen)
    specs, dims = named_axes(making.names, seen[0], found)
    signature = Signature(specs, dims)
    values = Values(trials, signature, ordered)
    signature = values.settled()
    notes += values.notes
    if signature.from_data:
        notes.append(f"'{signature.from_data[0]}' is known by examples only, and so are its sizes")
        signature = _as_shown(signature, feeds)
    if trials.out_of_time:
        notes.append("not every size was tried: the model is slow")
    return Proposal(signature, call, feeds, tuple(notes))


def _called(module: nn.Module, examples: Any) -> tuple[Call | None, tuple[Feeds, ...]]:
    """The call that the examples show (none where they are arrays by name), and their arrays."""
    call: Call | None = None
    feeds: list[Feeds] = []
    for example in given.several(examples):
        if given.is_feed(example):
            feeds.append({str(name): given.array(value) for name, value in example.items()})
            continue
        one, tensors = given.called(module, example)
        given.require_alike(call, one)
        call = call or one
        feeds.append(given.arrays(one, tensors))
    if not feeds or not feeds[0]:
        raise InputError("the example has no tensor", "give the inputs that the model is run on")
    kinds = [{(s.name, s.dtype, len(s.shape)) for s in _specs(feed)} for feed in feeds]
    if odd := next((kind ^ kinds[0] for kind in kinds if kind != kinds[0]), None):
        raise InputError(
            f"'{min(odd)[0]}' is not of the same kind in all examples",
            "give every input the same name, dtype and rank",
        )
    return call, tuple(feeds)


def _specs(feed: Feeds) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, str(a.dtype), a.shape) for name, a in feed.items())


def _as_shown(signature: Signature, feeds: Sequence[Feeds]) -> Signature:
    """Sizes as in the examples: no others can be checked where values come from data."""
    seen = [signature.validate(feed) for feed in feeds]
    dims = []
    for dim in signature.dims:
        sizes = [n for n in dim.legal if n in {s[dim.name] for s in seen}]
        dims.append(replace(dim, sizes=Choices(tuple(sizes))))
    fixed = {d.name: d.low for d in dims if len(d.legal) == 1}
    return without(replace(signature, dims=tuple(dims)), fixed)


def narrower(signature: Signature, feed: Feeds) -> Iterator[Signature]:
    """With all but the batch as in an example, then with that as well."""
    shown = signature.validate(feed)
    for kept in dict.fromkeys((signature.batch, None)):
        if fixed := {name: size for name, size in shown.items() if name != kept}:
            yield without(signature, fixed)


def without(signature: Signature, fixed: Mapping[str, int]) -> Signature:
    """The signature with some dimensions as plain sizes; outputs are observed again."""

    def plain(spec: TensorSpec) -> TensorSpec:
        shape = (fixed.get(n, n) if isinstance(n, str) else n for n in spec.shape)
        return replace(spec, shape=tuple(shape))

    dims = tuple(d for d in signature.dims if d.name not in fixed)
    return Signature(tuple(map(plain, signature.inputs)), dims)
