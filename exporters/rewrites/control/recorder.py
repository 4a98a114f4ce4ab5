"""Lists while a loop's step is traced once: what is appended to them is noted, not done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from torch import Tensor

from exporters.rewrites.control.branches import Irreconcilable
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


class Recorder(list[Any]):
    """Stands for a list inside the body: either it is read, or it takes what is appended."""

    def __init__(self, own: list[Any]) -> None:
        super().__init__(own)
        self.given: list[Any] = []
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

    def append(self, item: Any) -> None:
        self.given.append(item)

    def extend(self, items: Iterable[Any]) -> None:
        self.given.extend(items)

    def __iadd__(self, items: Iterable[Any]) -> Recorder:  # type: ignore[misc]  # as list's own
        self.given.extend(items)
        return self

    def insert(self, index: Any, item: Any) -> None:
        if index != 0 or self.given:
            self._refused()
        self.in_front = True
        self.given.append(item)

    def __getitem__(self, index: Any) -> Any:
        if index == -1 and not self.in_front:
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
