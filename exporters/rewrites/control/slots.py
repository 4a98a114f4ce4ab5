"""What changes from step to step of a loop: leaves of variables, each with its kind.

A tensor stays a tensor; a Python number travels as a tensor, and is a number again for the user's
code on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import SymFloat, SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.utils import _pytree as pytree

from exporters.rewrites.control.branches import said
from exporters.rewrites.control.capture import shape_env
from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.sizes import as_tensor, is_open

Values = Mapping[str, Any]
"""Variables by name."""


class Unsteady(Irreconcilable):
    """A variable is another kind of thing after a step than before it."""


class Slot(NamedTuple):
    """A variable's leaf that steps change."""

    name: str
    leaf: int
    kind: str
    start: Any


def changing(
    kept: Sequence[str],
    before: Values,
    after: Values,
    known: Sequence[Slot],
    *,
    need_all: bool,
) -> list[Slot]:
    """Each leaf of the kept variables that a step changes. Raises Unsteady where one changes its
    kind, or (`need_all`) is not there before the first step; else it is lost."""
    found = []
    names = {(s.name, s.leaf) for s in known}
    for name in kept:
        if name not in before:
            if name in after and need_all:
                raise Unsteady(f"'{name}' is not there before the first step")
            continue
        starts, spec = pytree.tree_flatten(before[name])
        ends, end_spec = pytree.tree_flatten(after.get(name))
        if spec != end_spec:
            raise Unsteady(f"'{name}' changes its structure")
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if start is end and (name, number) not in names:
                continue
            kind = _kind(start, end)
            if not kind:
                raise Unsteady(f"'{name}' is {said(start)} before a step and {said(end)} after")
            if kind != "same":
                found.append(Slot(name, number, kind, start))
            elif (name, number) in names:
                found.append(next(s for s in known if (s.name, s.leaf) == (name, number)))
    return found


def _kind(start: Any, end: Any) -> str:
    if isinstance(start, Tensor) and isinstance(end, Tensor):
        same = start.dtype == end.dtype and start.dim() == end.dim()
        steady = same and all(
            statically_known_true(a == b) for a, b in zip(start.shape, end.shape, strict=True)
        )
        return "tensor" if steady else ""
    if isinstance(start, bool) and isinstance(end, (bool, Tensor)):
        if isinstance(end, bool):
            return "same" if start is end else "bool"
        return "bool" if end.dtype == torch.bool and not end.dim() else ""
    for kind, types in (("int", (int, SymInt)), ("float", (float, SymFloat))):
        if all(isinstance(n, types) and not isinstance(n, bool) for n in (start, end)):
            known = not is_open(start) and not is_open(end)
            return "same" if known and start == end else kind
    if isinstance(start, Tensor) or isinstance(end, Tensor):
        return ""
    try:
        return "same" if type(start) is type(end) and bool(start == end) else ""
    except Exception:
        return ""


def filled(before: Values, slots: Sequence[Slot], values: Sequence[Any]) -> dict[str, Any]:
    """The variables with other leaves in the slots."""
    found = dict(before)
    for name in {s.name for s in slots}:
        leaves, spec = pytree.tree_flatten(before[name])
        for slot, value in zip(slots, values, strict=True):
            if slot.name == name:
                leaves[slot.leaf] = value
        found[name] = pytree.tree_unflatten(leaves, spec)
    return found


def leaf(values: Values, slot: Slot) -> Any:
    return pytree.tree_leaves(values[slot.name])[slot.leaf]


def fresh(slot: Slot) -> Any:
    """Something of the slot's kind that nothing is known of."""
    env = shape_env()
    if slot.kind == "tensor":
        return torch.empty_like(slot.start)
    if slot.kind == "bool":
        return torch.empty((), dtype=torch.bool)
    return env.create_unbacked_symint() if slot.kind == "int" else env.create_unbacked_symfloat()


def start(slot: Slot) -> Tensor:
    if slot.kind == "tensor":
        own: Tensor = slot.start.clone()
        return own
    if slot.kind == "bool":
        return torch.full((), slot.start, dtype=torch.bool)
    return as_tensor(slot.start).clone()


def given(slot: Slot, value: Tensor) -> Any:
    return value.item() if slot.kind in ("int", "float") else value


def out(value: Any, slot: Slot) -> Tensor:
    if slot.kind == "tensor":
        own: Tensor = value.clone()
        return own
    if slot.kind == "bool":
        return value.clone() if isinstance(value, Tensor) else torch.full((), value)
    return as_tensor(value).clone()


def back(value: Tensor, slot: Slot) -> Any:
    return value.item() if slot.kind in ("int", "float") else value
