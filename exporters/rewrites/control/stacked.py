"""The list that a loop appended to: its steps as one tensor, which torch.stack and cat take, and
torch.tensor where they are numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor


class Unknown(ABC):
    """A sequence whose length is not known while tracing."""

    @abstractmethod
    def tensor(self) -> Tensor:
        """Of a sequence of numbers."""


class Stacked(Unknown):
    """A list of tensors of one shape: some by themselves, then `many`, stacked along axis 0.

    Numbers are tensors in it, in the precision of Python's.
    """

    def __init__(self, ones: list[Any], many: Tensor) -> None:
        self.ones, self.many = ones, many

    def count(self) -> Any:
        return self.many.shape[0] + len(self.ones)

    def __getitem__(self, index: int) -> Tensor:
        if index == -1:
            last: Tensor = self.many.select(0, self.many.shape[0] - 1)
            return last
        if isinstance(index, int) and 0 <= index < len(self.ones):
            one: Tensor = self.ones[index]
            return one
        raise IndexError("of the steps of a loop only the last is at hand")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("the steps of a loop of unknown length are not iterated over outside one")

    def tensor(self) -> Tensor:
        """Of a list of numbers: of floats in the default precision, as torch.tensor has it."""
        found: Tensor = torch.cat([*(torch.tensor([one]) for one in self.ones), self.many])
        floating = found.is_floating_point()
        return found.to(torch.get_default_dtype()) if floating else found

    def stack(self, dim: int = 0) -> Tensor:
        rank = self.many.dim()
        at = dim % rank
        parts = [one.unsqueeze(at) for one in self.ones]
        return torch.cat([*parts, self.many.movedim(0, at)], at)

    def cat(self, dim: int = 0) -> Tensor:
        at = dim % (self.many.dim() - 1)
        return torch.cat([*self.ones, self.many.movedim(0, at).flatten(at, at + 1)], at)


@contextmanager
def understood() -> Iterator[None]:
    """While tracing, what makes one tensor of several takes what loops have stacked."""
    with ExitStack() as stack:
        for name, way in _WAYS.items():
            own = getattr(torch, name)
            setattr(torch, name, _taking(own, way))
            stack.callback(setattr, torch, name, own)
        yield


_WAYS: dict[str, Callable[..., Tensor]] = {
    "stack": Stacked.stack,
    "cat": Stacked.cat,
    "concat": Stacked.cat,
    "concatenate": Stacked.cat,
}


def _taking(own: Callable[..., Tensor], way: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(own)
    def function(given: Any, *arguments: Any, **keywords: Any) -> Tensor:
        if isinstance(given, Unknown):
            return way(given, *arguments, **keywords)
        return own(given, *arguments, **keywords)

    return function
