"""One step of a loop as the body of a subgraph: what it uses, what it changes, what it appends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from exporters.rewrites.control import slots
from exporters.rewrites.control.branches import refuse_shared
from exporters.rewrites.control.capture import Inside, Operands, explore, shape_env
from exporters.rewrites.control.effects import held_by
from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.recorder import Recorder, recording
from exporters.rewrites.control.rows import (
    EachStep,
    Kept,
    Listed,
    Longest,
    Nothing,
    Padded,
    SomeSteps,
)
from exporters.rewrites.control.sizes import is_of_value
from exporters.rewrites.control.slots import Slot
from exporters.rewrites.control.variables import Variables
from toolkit.errors import ExportRefused

_NONE: Mapping[str, Recorder] = MappingProxyType({})


class Loop(ABC):
    """What the loops of `loops.py` have in common."""

    def __init__(
        self, body: Callable[[Any], None], variables: Variables, kept: Sequence[str]
    ) -> None:
        self.body, self.variables, self.kept = body, variables, kept
        self.first = 0
        self.had: dict[str, int] = {}

    def take_first(self) -> None:
        """Trace the first step by itself, outside of the loop."""
        reach = self.variables.in_reach()
        self.had = {n: len(v) for n, v in reach.items() if type(v) is list}
        self.step(0)
        self.first = 1

    @abstractmethod
    def step(self, number: Any) -> None:
        """Run the body once."""

    @abstractmethod
    def goes_on(self, number: Any) -> Any:
        """Is there a step of this number?"""

    @abstractmethod
    def can_step(self) -> bool:
        """Is it certain that there is a first step?"""

    def limit(self) -> Any:
        """The most steps that there may be, if it is known before the first."""
        return None

    def takes_all(self) -> bool:
        """Are there as many as that?"""
        return True

    @property
    @abstractmethod
    def place(self) -> str:
        """The source line that a refusal names."""


class _Tried(NamedTuple):
    """What a step does, as far as one run on shapes tells."""

    slots: list[Slot]
    assigned: set[str]
    outer: list[Tensor]
    written: list[Tensor]
    appended: dict[str, _Appended]
    """By a list's variable, what one step gives it."""


class _Appended(NamedTuple):
    like: Tensor
    """[items, ...]"""
    in_front: bool
    by_value: bool
    """By some steps only."""
    number: int | None
    """What it is, where it is the same known number in every step."""


def subgraph(loop: Loop) -> None:
    """Write the loop, and leave the variables and lists as it leaves them."""
    _Subgraph(loop).run()


class _Subgraph:
    def __init__(self, loop: Loop) -> None:
        self.loop, self.variables = loop, loop.variables
        self.before = self.variables.read()
        reach = self.variables.in_reach()
        self.lists = {n: v for n, v in reach.items() if type(v) is list}
        self.others = {n: v for n, v in reach.items() if n not in self.lists}
        self.tried = self._settled()
        refuse_shared(self.tried.written, self.tried.outer)

    def _settled(self) -> _Tried:
        """A number that one step changes is unknown in the next: try until no more is found."""
        self.known = set(shape_env().var_to_range)
        known: list[Slot] = []
        for _ in range(4):
            tried = self._try(known)
            if tried.slots == known:
                return tried
            known = tried.slots
        raise Irreconcilable("its variables do not settle")

    def _try(self, known: list[Slot]) -> _Tried:
        """One step on shapes alone, with the variables known to change as if they had."""
        with shape_env().ignore_fresh_unbacked_symbols():
            fresh = [slots.fresh(s) for s in known]
            own = [f for f in fresh if isinstance(f, Tensor)]
            held = held_by([*self.others.values(), *self.lists.values()])
            try:
                with recording(self.variables, self.lists) as recorders:
                    self._write(slots.filled(self.before, known, fresh), recorders)
                    found = explore(lambda: self._step(recorders), own, guarding=False)
            except (Irreconcilable, ExportRefused):
                raise
            except Exception as error:  # of a first step other than the rest, perhaps
                raise slots.Unsteady(f"{type(error).__name__}: {error}") from error
            finally:
                changed = held.put_back()
                self.variables.write(self.before)
        if changed:
            raise Irreconcilable("it changes a list, a dict or an attribute")
        after, given = found.result
        changing = slots.changing(
            self.loop.kept, self.before, after, known, need_all=self.loop.can_step()
        )
        outer = [t for t in found.outer if not any(t is o for o in own)]
        return _Tried(changing, set(after), outer, found.written, given)

    def _step(self, recorders: dict[str, Recorder]) -> tuple[dict[str, Any], dict[str, _Appended]]:
        number = torch.zeros((), dtype=torch.int64)
        self.loop.goes_on(number)
        self.loop.step(_number(number, self.loop))
        given = {
            name: _Appended(r.row(), r.in_front, r.where is not None, r.number)
            for name, r in recorders.items()
            if r.given
        }
        return self._read(recorders), given

    def _write(self, values: Mapping[str, Any], recorders: Mapping[str, Recorder]) -> None:
        self.variables.write(values)
        for name, recorder in recorders.items():
            self.variables.rebind(name, recorder)

    def _read(self, recorders: dict[str, Recorder]) -> dict[str, Any]:
        """The variables; of a list that was added to by `+=`, the list itself."""
        after = self.variables.read()
        return {n: self.lists[n] if v is recorders.get(n) else v for n, v in after.items()}

    def run(self) -> None:
        lists = [self._listed(name) for name in self.tried.appended]
        limit = self.loop.limit()
        if lists and limit is None:
            limit = _size(self._written([Nothing(of) for of in lists], None)[0])
        kept = [self._kept(of) for of in lists]
        found = self._written(kept, limit)
        if any(of.axis is not None for of in lists):
            longest = dict(zip(kept, self._of_lists(found, kept), strict=True))
            kept = [Padded(k.of, _size(longest[k][0])) if type(k) is Longest else k for k in kept]
            found = self._written(kept, limit)
        self._leave(found, kept)

    def _listed(self, name: str) -> Listed:
        appended = self.tried.appended[name]
        before, first = self._apart(name)
        like, number = appended.like, appended.number
        return Listed(name, like, before, first, appended.in_front, self._axis(name), number)

    def _kept(self, of: Listed) -> Kept:
        by_value = self.tried.appended[of.name].by_value
        if of.axis is None:
            return SomeSteps(of) if by_value else EachStep(of)
        if by_value:
            raise Irreconcilable("a step appends tensors of several shapes to a list")
        return Longest(of)

    def _axis(self, name: str) -> int | None:
        """Of the items, the one whose size is a number that a step makes."""
        sizes = enumerate(self.tried.appended[name].like.shape[1:])
        axes = [k for k, size in sizes if free_unbacked_symbols(size) - self.known]
        if len(axes) > 1:
            raise Irreconcilable("a step appends tensors of several shapes to a list")
        return axes[0] if axes else None

    def _written(self, kept: Sequence[Kept], limit: Any) -> Sequence[Any]:
        """The Loop: what it leaves of all that it carries."""
        tried, loop = self.tried, self.loop
        try:
            operands = Operands(tried.outer, self.others)
            carried = (
                torch.full((), loop.first, dtype=torch.int64),
                *(slots.start(s) for s in tried.slots),
                *(t.clone() for t in tried.written),
                *(part for k in kept for part in k.start(limit)),
            )
            many = len(carried)

            def goes_on(*inner: Any) -> Tensor:
                with operands.inside(inner[many:], self.variables) as inside:
                    return self._goes_on(inner[:many], inside)

            def body(*inner: Any) -> tuple[Tensor, ...]:
                with operands.inside(inner[many:], self.variables) as inside:
                    return self._body(inner[:many], inside, kept)

            found: Sequence[Any] = torch.ops.higher_order.while_loop(
                goes_on, body, carried, operands.all
            )
        except (Irreconcilable, ExportRefused):
            raise
        except Exception as error:
            raise Irreconcilable(f"{type(error).__name__}: {error}") from error
        finally:
            self.variables.write(self.before)
        return found

    def _of_lists(self, carried: Sequence[Any], kept: Sequence[Kept]) -> list[list[Tensor]]:
        """Of all that is carried what is each list's."""
        parts = iter(carried[1 + len(self.tried.slots) + len(self.tried.written) :])
        return [list(islice(parts, k.many)) for k in kept]

    def _apart(self, name: str) -> tuple[list[Any], list[Any]]:
        """What a list had before the loop, and what its first step gave, if that was traced."""
        given, had = [*self.lists[name]], self.loop.had.get(name)
        if had is None:
            return given, []
        if self.tried.appended[name].in_front:
            return given[len(given) - had :], given[: len(given) - had]
        return given[:had], given[had:]

    def _goes_on(self, carried: Sequence[Any], inside: Inside) -> Tensor:
        number, _ = self._enter(carried, inside)
        found: Tensor = inside.now(self.loop.goes_on(number)).clone()
        self.variables.write(self.before)
        return found

    def _body(
        self, carried: Sequence[Any], inside: Inside, kept: Sequence[Kept]
    ) -> tuple[Tensor, ...]:
        with recording(self.variables, self.lists) as recorders:
            number, written = self._enter(carried, inside, recorders)
            parts = dict(zip(kept, self._of_lists(carried, kept), strict=True))
            for keeping, part in parts.items():
                recorders[keeping.of.name].last = partial(keeping.last, part, number)
            self.loop.step(_number(number, self.loop))
            after = self._read(recorders)
            own = [slots.out(inside.now(slots.leaf(after, s)), s) for s in self.tried.slots]
            rows = [
                inside.now(one)
                for keeping, part in parts.items()
                for one in keeping.after(part, number, recorders[keeping.of.name])
            ]
        self.variables.write(self.before)
        return (number + 1, *own, *written, *rows)

    def _enter(
        self, carried: Sequence[Any], inside: Inside, recorders: Mapping[str, Recorder] = _NONE
    ) -> tuple[Tensor, list[Tensor]]:
        """Set the variables to what the step starts from; its number, and copies of what it writes
        into."""
        number, *rest = carried
        values = [slots.given(s, rest.pop(0)) for s in self.tried.slots]
        written = [rest.pop(0).clone() for _ in self.tried.written]
        inside.replaced(self.tried.written, written)
        self._write(slots.filled(self.before, self.tried.slots, values), recorders)
        return number, written

    def _leave(self, found: Sequence[Tensor], kept: Sequence[Kept]) -> None:
        number, *rest = found
        values = [slots.back(rest.pop(0), s) for s in self.tried.slots]
        after = slots.filled(self.before, self.tried.slots, values)
        temporary = self.tried.assigned - set(self.loop.kept)
        self.variables.write({n: v for n, v in after.items() if n not in temporary})
        for tensor in self.tried.written:
            tensor.copy_(rest.pop(0))
        steps = None if self.loop.takes_all() else number
        for keeping, part in zip(kept, self._of_lists(found, kept), strict=True):
            left, name = keeping.left(part, steps), keeping.of.name
            self.lists[name][:] = [left]  # whoever else holds it must not take it for what it was
            self.variables.rebind(name, left)


def _size(found: Tensor) -> Any:
    size: Any = found.item()
    torch._check(size >= 0)
    return size


def _number(number: Tensor, loop: Loop) -> Any:
    """The step's number as Python's code wants it, within its bounds."""
    found = number.item()
    torch._check(found >= loop.first)
    limit = loop.limit()
    if limit is not None and not is_of_value(limit):
        torch._check(found < limit)
    return found
