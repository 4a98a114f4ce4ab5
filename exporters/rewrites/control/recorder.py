"""Lists while a loop's step is traced once: what is appended to them is noted, not done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from torch import Tensor

from exporters.rewrites.control.branches import Irreconcilable
from exporters.rewrites.control.sizes import as_tensor, is_number
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
        self.was_read = False

    def only(self) -> Tensor:
        """The one tensor that a step appends, or number."""
        if self.was_read:
            raise Irreconcilable("it reads the list that it appends to")
        one = self.given[0] if len(self.given) == 1 else None
        if isinstance(one, Tensor):
            return one
        if is_number(one):
            return as_tensor(one)
        raise Irreconcilable("a step appends other than one tensor to a list")

    def append(self, item: Any) -> None:
        self.given.append(item)

    def __getitem__(self, index: Any) -> Any:
        self.was_read = True
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        self.was_read = True
        return super().__iter__()

    def __len__(self) -> int:
        self.was_read = True
        return super().__len__()

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise Irreconcilable("it changes a list other than by append")

    extend = insert = pop = remove = clear = sort = reverse = _refused
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refused
