"""One step of a loop as the body of a subgraph: what it uses, what it changes, what it appends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from exporters.rewrites.control import slots
from exporters.rewrites.control.branches import refuse_shared
from exporters.rewrites.control.capture import Inside, Operands, explore, shape_env
from exporters.rewrites.control.effects import held_by
from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.recorder import Recorder, recording
from exporters.rewrites.control.sizes import is_of_value, stacked
from exporters.rewrites.control.slots import Slot
from exporters.rewrites.control.stacked import Stacked
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
    appended: dict[str, Tensor]
    """A list's variable, and what one step gives it: [items, ...]."""
    in_front: set[str]
    """Of these, which are given it to their front."""
    by_value: set[str]
    """And which are given it by some steps only: how many so far is carried along."""


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
        after, given, in_front, by_value = found.result
        changing = slots.changing(
            self.loop.kept, self.before, after, known, need_all=self.loop.can_step()
        )
        outer = [t for t in found.outer if not any(t is o for o in own)]
        return _Tried(changing, set(after), outer, found.written, given, in_front, by_value)

    def _step(
        self, recorders: dict[str, Recorder]
    ) -> tuple[dict[str, Any], dict[str, Tensor], set[str], set[str]]:
        number = torch.zeros((), dtype=torch.int64)
        self.loop.goes_on(number)
        self.loop.step(_number(number, self.loop))
        given = {name: r.row() for name, r in recorders.items() if r.given}
        in_front = {n for n in given if recorders[n].in_front}
        by_value = {n for n in given if recorders[n].where is not None}
        return self._read(recorders), given, in_front, by_value

    def _write(self, values: Mapping[str, Any], recorders: Mapping[str, Recorder]) -> None:
        self.variables.write(values)
        for name, recorder in recorders.items():
            self.variables.rebind(name, recorder)

    def _read(self, recorders: dict[str, Recorder]) -> dict[str, Any]:
        """The variables; of a list that was added to by `+=`, the list itself."""
        after = self.variables.read()
        return {n: self.lists[n] if v is recorders.get(n) else v for n, v in after.items()}

    def run(self) -> None:
        tried, loop = self.tried, self.loop
        try:
            operands = Operands(tried.outer, self.others)
            carried = (
                torch.full((), loop.first, dtype=torch.int64),
                *(slots.start(s) for s in tried.slots),
                *(t.clone() for t in tried.written),
                *(self._rows(n, t) for n, t in tried.appended.items()),
                *(torch.zeros((), dtype=torch.int64) for _ in tried.by_value),
            )
            many = len(carried)

            def goes_on(*inner: Any) -> Tensor:
                with operands.inside(inner[many:], self.variables) as inside:
                    return self._goes_on(inner[:many], inside)

            def body(*inner: Any) -> tuple[Tensor, ...]:
                with operands.inside(inner[many:], self.variables) as inside:
                    return self._body(inner[:many], inside)

            found = torch.ops.higher_order.while_loop(goes_on, body, carried, operands.all)
        except (Irreconcilable, ExportRefused):
            raise
        except Exception as error:
            raise Irreconcilable(f"{type(error).__name__}: {error}") from error
        finally:
            self.variables.write(self.before)
        self._leave(found)

    def _rows(self, name: str, row: Tensor) -> Tensor:
        """Where what the steps append is kept: one row for each step, that of the first one too.

        Without it there would be one less than steps, and torch holds 1 apart from all sizes.
        """
        limit = self.loop.limit()
        if limit is None:
            raise Irreconcilable("it appends to a list, and how often is not known before")
        rows = torch.zeros((limit, *row.shape), dtype=row.dtype)
        if self.loop.first:
            if name in self.tried.by_value:
                raise Irreconcilable(
                    "its first step is other than the rest, and appends by a value"
                )
            _, first = self._apart(name)
            if len(first) != len(row):
                raise Irreconcilable("its first step appends other than the rest")
            own = stacked(first).to(row.dtype)
            rows = torch.index_copy(rows, 0, torch.zeros(1, dtype=torch.int64), own.unsqueeze(0))
        return rows

    def _last(self, name: str, number: Tensor, rows: Tensor) -> Tensor:
        """What the step before gave last, or what the list had before the loop."""
        before = rows.index_select(0, (number - 1).clamp(min=0).reshape(1))[0, -1]
        return torch.where(number == 0, self.lists[name][-1], before)

    def _apart(self, name: str) -> tuple[list[Any], list[Any]]:
        """What a list had before the loop, and what its first step gave, if that was traced."""
        given, had = [*self.lists[name]], self.loop.had.get(name)
        if had is None:
            return given, []
        if name in self.tried.in_front:
            return given[len(given) - had :], given[: len(given) - had]
        return given[:had], given[had:]

    def _goes_on(self, carried: Sequence[Any], inside: Inside) -> Tensor:
        number, *_ = self._enter(carried, inside)
        found: Tensor = inside.now(self.loop.goes_on(number)).clone()
        self.variables.write(self.before)
        return found

    def _body(self, carried: Sequence[Any], inside: Inside) -> tuple[Tensor, ...]:
        with recording(self.variables, self.lists) as recorders:
            number, written, rows, many = self._enter(carried, inside, recorders)
            for name, row in zip(self.tried.appended, rows, strict=True):
                recorders[name].last = partial(self._last, name, many.get(name, number), row)
            self.loop.step(_number(number, self.loop))
            after = self._read(recorders)
            own = [slots.out(inside.now(slots.leaf(after, s)), s) for s in self.tried.slots]
            given = [inside.now(recorders[name].row()) for name in self.tried.appended]
            rows = [
                torch.index_copy(row, 0, many.get(name, number).reshape(1), item.unsqueeze(0))
                for name, row, item in zip(self.tried.appended, rows, given, strict=True)
            ]
            counts = [n + inside.now(recorders[name].where) for name, n in many.items()]
        self.variables.write(self.before)
        return (number + 1, *own, *written, *rows, *counts)

    def _enter(
        self, carried: Sequence[Any], inside: Inside, recorders: Mapping[str, Recorder] = _NONE
    ) -> tuple[Tensor, list[Tensor], list[Tensor], dict[str, Tensor]]:
        """Set the variables to what the step starts from; its number, copies of what it writes
        into, the rows so far, and how many there are of those given by a value."""
        number, *rest = carried
        values = [slots.given(s, rest.pop(0)) for s in self.tried.slots]
        written = [rest.pop(0).clone() for _ in self.tried.written]
        inside.replaced(self.tried.written, written)
        self._write(slots.filled(self.before, self.tried.slots, values), recorders)
        rows, counts = rest[: len(self.tried.appended)], rest[len(self.tried.appended) :]
        return number, written, rows, dict(zip(self._by_value(), counts, strict=True))

    def _by_value(self) -> list[str]:
        return [name for name in self.tried.appended if name in self.tried.by_value]

    def _leave(self, found: Sequence[Tensor]) -> None:
        number, *rest = found
        values = [slots.back(rest.pop(0), s) for s in self.tried.slots]
        after = slots.filled(self.before, self.tried.slots, values)
        temporary = self.tried.assigned - set(self.loop.kept)
        self.variables.write({n: v for n, v in after.items() if n not in temporary})
        for tensor in self.tried.written:
            tensor.copy_(rest.pop(0))
        counts = dict(zip(self._by_value(), rest[len(self.tried.appended) :], strict=True))
        for name, rows in zip(self.tried.appended, rest, strict=False):
            before, _ = self._apart(name)
            count = None if self.loop.takes_all() else number
            many = _first(rows, counts.get(name, count)).flatten(0, 1)
            front = name in self.tried.in_front
            stacked = Stacked.in_front(before, many) if front else Stacked(before, many)
            self.lists[name][:] = [
                stacked
            ]  # whoever else holds it must not take it for what it was
            self.variables.rebind(name, stacked)


def _first(rows: Tensor, count: Tensor | None) -> Tensor:
    """As many of them as there are; all where nothing is counted."""
    if count is None:
        return rows
    many: Any = count.item()
    limit = rows.shape[0]
    torch._check(many >= 0)
    if not is_of_value(limit):
        torch._check(many <= limit)
    return rows.narrow(0, 0, many)


def _number(number: Tensor, loop: Loop) -> Any:
    """The step's number as Python's code wants it, within its bounds."""
    found = number.item()
    torch._check(found >= loop.first)
    limit = loop.limit()
    if limit is not None and not is_of_value(limit):
        torch._check(found < limit)
    return found
