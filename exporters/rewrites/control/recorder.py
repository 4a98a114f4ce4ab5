"""Lists while a loop's step is traced once: what is appended to them is noted, not done.

Where a value decides whether something is appended at all, that is carried beside it: each step
writes behind the rows that there are, and only where it appended do they become more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.sizes import is_number, stacked
from exporters.rewrites.control.variables import Variables


@contextmanager
def recording(
    variables: Variables, lists: Mapping[str, list[Any]]
) -> Iterator[dict[str, Recorder]]:
    """The lists, by the names of the variables that hold them, are recorders within."""
    recorders = {name: Recorder(own) for name, own in lists.items()}
    for name, recorder in recorders.items():
        variables.rebind(name, recorder)
    try:
        yield recorders
    finally:
        for name, own in lists.items():
            variables.rebind(name, own)


class Given(NamedTuple):
    """What one way of a branch gives a list: [items, ...], and, unless that is sure, if at all."""

    rows: Tensor
    where: Tensor | None


@contextmanager
def apart(recorders: Sequence[Recorder]) -> Iterator[None]:
    """One way of a branch: they start with nothing, and are afterwards what they were before."""
    kept = [(r.given, r.where, r.is_closed) for r in recorders]
    for recorder in recorders:
        recorder.is_closed |= bool(recorder.given)
        recorder.given, recorder.where = [], None
    try:
        yield
    finally:
        for recorder, before in zip(recorders, kept, strict=True):
            recorder.given, recorder.where, recorder.is_closed = before


class Recorder(list[Any]):
    """Stands for a list inside the body: either it is read, or it takes what is appended.

    A step gives it all of its items or, where a value decides, none: `where`.
    """

    def __init__(self, own: list[Any]) -> None:
        super().__init__(own)
        self.given: list[Any] = []
        self.where: Tensor | None = None
        """Is it given them at all? None where that is sure."""
        self.is_closed = False
        """It takes no more: a value has decided of what it was given."""
        self.in_front = False
        """Is it given to the front of the list, and not to its end?"""
        self.was_read = False
        self.last: Callable[[], Tensor] | None = None
        """What was the last one when the step began; None while it is tried on shapes alone."""

    def row(self) -> Tensor:
        """What a step gives, one after another: [items, ...]. Numbers are tensors in it."""
        if self.was_read:
            raise Irreconcilable("it reads the list that it appends to")
        if not all(isinstance(item, Tensor) or is_number(item) for item in self.given):
            raise Irreconcilable("a step appends other than tensors and numbers to a list")
        shapes = [item.shape if isinstance(item, Tensor) else () for item in self.given]
        if any(shape != shapes[0] for shape in shapes):
            raise Irreconcilable("a step appends tensors of several shapes to a list")
        return stacked(self.given)

    @property
    def number(self) -> int | None:
        """The one number that every step gives it; None where it is another, or more."""
        return self.given[0] if len(self.given) == 1 and type(self.given[0]) is int else None

    def way(self) -> Given | None:
        return Given(self.row(), self.where) if self.given else None

    def take(self, rows: Tensor, where: Tensor | None) -> None:
        """What came out of a branch of which a way gave it something."""
        self.extend(rows.unbind(0))
        self.where, self.is_closed = where, where is not None

    def append(self, item: Any) -> None:
        self.extend([item])

    def extend(self, items: Iterable[Any]) -> None:
        if self.is_closed:
            raise Irreconcilable("whether it appends to a list is decided at more than one place")
        self.given.extend(items)

    def __iadd__(self, items: Iterable[Any]) -> Recorder:  # type: ignore[misc]  # as list's own
        self.extend(items)
        return self

    def insert(self, index: Any, item: Any) -> None:
        if index != 0 or self.given:
            self._refused()
        self.in_front = True
        self.append(item)

    def __getitem__(self, index: Any) -> Any:
        if index == -1 and not self.in_front and not self.is_closed:
            if self.given:
                return self.given[-1]
            before = super().__getitem__(-1) if super().__len__() else None
            if isinstance(before, Tensor):
                return self.last() if self.last else before
        self.was_read = True
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        self.was_read = True
        return super().__iter__()

    def __len__(self) -> int:
        self.was_read = True
        return super().__len__()

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise Irreconcilable("it changes a list other than by what it adds to an end")

    pop = remove = clear = sort = reverse = _refused
    __setitem__ = __delitem__ = __imul__ = _refused


class Both(NamedTuple):
    """A list that one way of a branch or both give something: `like` these rows."""

    to: Recorder
    like: Tensor
    always: bool
    """Do both, for sure?"""

    def of(self, given: Given | None) -> tuple[Tensor, ...]:
        """What comes out of a way for it."""
        rows = torch.zeros(self.like.shape, dtype=self.like.dtype) if given is None else given.rows
        if self.always:
            return (rows.clone(),)
        where = given.where if given else None
        known = torch.full((), given is not None, dtype=torch.bool)
        return rows.clone(), known if where is None else where.clone()


def both_ways(to: Recorder, one: Given | None, other: Given | None) -> Both | None:
    """None where neither gives it anything."""
    given = [g for g in (one, other) if g]
    if not given:
        return None
    if len({(len(g.rows), g.rows.dtype, g.rows.dim()) for g in given}) > 1:
        raise Irreconcilable("its ways append other things to a list")
    return Both(to, given[0].rows, len(given) == 2 and all(g.where is None for g in given))
