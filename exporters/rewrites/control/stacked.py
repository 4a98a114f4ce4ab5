"""The list that a loop appended to: its steps as one tensor, which torch.stack and cat take, and
torch.tensor where they are numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
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

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) and not self.ones:
            return Stacked([], self.many[index])
        if index == -1:
            return self.many.select(0, self.many.shape[0] - 1)
        if isinstance(index, int) and 0 <= index < len(self.ones):
            return self.ones[index]
        if isinstance(index, int) and index >= 0 and not self.ones:
            return self.many.select(0, index)
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
