"""How what the steps of a loop append to a list is carried along, and what the list is behind it.

A Loop's values keep their shape, so there are as many rows as there may be steps, and each step
writes one. Which rows count, and how much of each, is carried beside them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.recorder import Recorder
from exporters.rewrites.control.sizes import as_tensor, is_of_value, stacked
from exporters.rewrites.control.stacked import Ragged, Stacked


class Listed(NamedTuple):
    """A list that steps append to, and what was in it before the loop."""

    name: str
    like: Tensor
    """What one step gives it: [items, ...]."""
    before: list[Any]
    first: list[Any]
    """What the first step gave, where that was traced by itself."""
    in_front: bool
    axis: int | None = None
    """Of its items: the one whose size is another in each step."""
    number: int | None = None
    """The item, where it is the same known number in every step."""


class Kept(ABC):
    """One list's part in what a loop carries: so many tensors."""

    many = 1

    def __init__(self, of: Listed) -> None:
        self.of = of

    @abstractmethod
    def start(self, limit: Any) -> list[Tensor]:
        """Before the first step, of which there are at most `limit`."""

    @abstractmethod
    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        """And behind each."""

    def last(self, carried: Sequence[Tensor], number: Tensor) -> Tensor:
        """What the step before gave last, or what the list had before the loop."""
        rows, at = carried[0], self.count(carried, number)
        before = rows.index_select(0, (at - 1).clamp(min=0).reshape(1))[0, -1]
        return torch.where(at == 0, self.of.before[-1], before)

    def count(self, carried: Sequence[Tensor], number: Tensor) -> Tensor:
        """How many rows there are so far."""
        return number

    def left(self, carried: Sequence[Tensor], number: Tensor | None) -> Any:
        """What the list is behind the loop. `number` of steps: None where they are all."""
        many = _first(carried[0], number).flatten(0, 1)
        if self.of.in_front:
            return Stacked.in_front(self.of.before, many)
        return Stacked(self.of.before, many, None if self.of.first else self.of.number)


class EachStep(Kept):
    """Every step gives it a row, that of the first one too: without it there would be one less than
    steps, and torch holds 1 apart from all sizes."""

    def start(self, limit: Any) -> list[Tensor]:
        like, first = self.of.like, self.of.first
        rows = _room(limit, like)
        if first:
            if len(first) != len(like):
                raise Irreconcilable("its first step appends other than the rest")
            own = stacked(first).to(like.dtype)
            rows = torch.index_copy(rows, 0, torch.zeros(1, dtype=torch.int64), own.unsqueeze(0))
        return [rows]

    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        return [_put(carried[0], number, given.row())]


class SomeSteps(Kept):
    """A value decides which: they are counted."""

    many = 2

    def start(self, limit: Any) -> list[Tensor]:
        if self.of.first:
            raise Irreconcilable("its first step is other than the rest, and appends by a value")
        return [_room(limit, self.of.like), torch.zeros((), dtype=torch.int64)]

    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        rows, count = carried
        assert given.where is not None
        return [_put(rows, count, given.row()), count + given.where]

    def count(self, carried: Sequence[Tensor], number: Tensor) -> Tensor:
        return carried[1]

    def left(self, carried: Sequence[Tensor], number: Tensor | None) -> Any:
        return super().left(carried, carried[1])


class Nothing(Kept):
    """The first time that a loop is run of which nobody knows how many steps it has."""

    many = 0

    def start(self, limit: Any) -> list[Tensor]:
        return []

    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        return []

    def last(self, carried: Sequence[Tensor], number: Tensor) -> Tensor:
        raise Irreconcilable("it reads the list that it appends to, and how often is not known")


class Longest(Kept):
    """Items of many sizes, the first time that the loop is run: only the largest size is wanted."""

    @property
    def axis(self) -> int:
        assert self.of.axis is not None
        return self.of.axis

    def start(self, limit: Any) -> list[Tensor]:
        if self.of.first or self.of.in_front or len(self.of.like) != 1:
            raise Irreconcilable("a step appends tensors of several shapes to a list")
        return [torch.zeros((), dtype=torch.int64)]

    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        size = as_tensor(given.row().shape[1 + self.axis])
        return [torch.maximum(carried[0], size)]

    def last(self, carried: Sequence[Tensor], number: Tensor) -> Tensor:
        raise Irreconcilable("it reads the list that it appends to")


class Padded(Longest):
    """And the second time: each is a row of the largest size, and how much of it counts."""

    many = 2

    def __init__(self, of: Listed, longest: Any) -> None:
        super().__init__(of)
        self._longest = longest

    def start(self, limit: Any) -> list[Tensor]:
        _, *shape = self.of.like.shape
        del shape[self.axis]
        rows = torch.zeros((limit, self._longest, *shape), dtype=self.of.like.dtype)
        return [rows, torch.zeros((limit,), dtype=torch.int64)]

    def after(self, carried: Sequence[Tensor], number: Tensor, given: Recorder) -> list[Tensor]:
        rows, sizes = carried
        item = given.row()[0].movedim(self.axis, 0)
        size = as_tensor(item.shape[0])
        at = torch.minimum(torch.arange(rows.shape[1]), (size - 1).clamp(min=0))
        some = torch.cat([item, torch.zeros((1, *item.shape[1:]), dtype=item.dtype)])
        return [_put(rows, number, some.index_select(0, at)), _put(sizes, number, size)]

    def left(self, carried: Sequence[Tensor], number: Tensor | None) -> Any:
        rows, sizes = (_first(part, number) for part in carried)
        return Ragged(self.of.before, rows, sizes, self.axis)


def _room(limit: Any, like: Tensor) -> Tensor:
    return torch.zeros((limit, *like.shape), dtype=like.dtype)


def _put(rows: Tensor, at: Tensor, row: Tensor) -> Tensor:
    return torch.index_copy(rows, 0, at.reshape(1), row.unsqueeze(0))


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
