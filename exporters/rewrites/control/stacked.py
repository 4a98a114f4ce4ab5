"""The list that a loop appended to: its steps as one tensor, which torch.stack and cat take, and
torch.tensor where they are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites.control.capture import is_within


class Unknown:
    """A sequence whose length is not known while tracing."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("the steps of a loop of unknown length are not iterated over outside one")

    def tensor(self) -> Tensor:
        """Of a sequence of numbers."""
        raise TypeError("tensors are no numbers")


class Stacked(Unknown):
    """A list of tensors of one shape: some by themselves, then `many`, stacked along axis 0.

    Numbers are tensors in it, in the precision of Python's.
    """

    def __init__(self, ones: list[Any], many: Tensor, number: int | None = None) -> None:
        self.ones, self.many = ones, many
        self.number = number
        """What all of `many` are, where that is known."""

    def count(self) -> Any:
        return self.many.shape[0] + len(self.ones)

    @classmethod
    def in_front(cls, ones: list[Any], many: Tensor) -> Stacked:
        """What was put before `ones`, one after another."""
        return cls([], torch.cat([many.flip(0), *(one.unsqueeze(0) for one in ones)]))

    def alike(self) -> Tensor | None:
        """All of them along axis 0; None where they are not tensors of one shape."""
        tensors = all(isinstance(o, Tensor) and o.dtype == self.many.dtype for o in self.ones)
        if not tensors or any(one.shape != self.many.shape[1:] for one in self.ones):
            return None
        return self.stack()

    def append(self, item: Any) -> None:
        """Behind the loop."""
        if is_within():
            raise TypeError(
                "a list that a loop has filled is appended to by another or in a branch"
            )
        one = item.unsqueeze(0) if isinstance(item, Tensor) else torch.tensor([item])
        self.many, self.number = torch.cat([self.many, one.to(self.many.dtype)]), None

    def __reversed__(self) -> Stacked:
        every = self.alike()
        if every is None:
            raise TypeError("a list of tensors of several shapes is not turned round")
        return Stacked([], every.flip(0))

    def reverse(self) -> None:
        self.ones, self.many = [], reversed(self).many

    def __getitem__(self, index: Any) -> Any:
        if index == slice(None, None, -1):
            return reversed(self)
        if isinstance(index, slice) and not self.ones:
            return Stacked([], self.many[index])
        if index == -1 and self.ones:  # of the loop there may be no step
            last = Stacked(self.ones[-1:], self.many).alike()
            if last is not None:
                return last.select(0, self.many.shape[0])
        elif index == -1:
            return self.many.select(0, self.many.shape[0] - 1)
        if isinstance(index, int) and 0 <= index < len(self.ones):
            return self.ones[index]
        if isinstance(index, int) and index >= 0 and not self.ones:
            return self.many.select(0, index)
        raise IndexError("of the steps of a loop only the last is at hand")

    def tensor(self) -> Tensor:
        """Of a list of numbers: of floats in the default precision, as torch.tensor has it."""
        found: Tensor = torch.cat([*(torch.tensor([one]) for one in self.ones), self.many])
        floating = found.is_floating_point()
        return found.to(torch.get_default_dtype()) if floating else found

    def stack(self, dim: int = 0) -> Tensor:
        at = dim % self.many.dim()
        parts = [one.unsqueeze(at) for one in self.ones]
        return torch.cat([*parts, self.many.movedim(0, at)], at)

    def cat(self, dim: int = 0) -> Tensor:
        at = dim % (self.many.dim() - 1)
        return torch.cat([*self.ones, self.many.movedim(0, at).flatten(at, at + 1)], at)


class Ragged(Unknown):
    """A list of tensors, one of whose axes has another size in each: some by themselves, then rows.

    `rows`: [n, longest, ...], that axis brought to the front, of which `sizes` [n] tells how much
    counts.
    """

    def __init__(self, ones: list[Any], rows: Tensor, sizes: Tensor, axis: int) -> None:
        self.ones, self.rows, self.sizes, self.axis = ones, rows, sizes, axis

    def count(self) -> Any:
        return self.rows.shape[0] + len(self.ones)

    def item(self, number: Any) -> Tensor:
        """One of the rows, as far as it counts."""
        size: Any = self.sizes[number].item()
        torch._check(size >= 0)
        torch._check(size <= self.rows.shape[1])
        return self.rows.select(0, number).narrow(0, 0, size).movedim(0, self.axis)

    def _counts(self) -> Tensor:
        return torch.arange(self.rows.shape[1]) < self.sizes[:, None]

    def cat(self, dim: int = 0) -> Tensor:
        rank = self.rows.dim() - 1
        if dim % rank != self.axis:
            raise TypeError("tensors of several sizes are joined along another axis")
        return torch.cat([*self.ones, self.rows[self._counts()].movedim(0, self.axis)], dim)

    def stack(self, dim: int = 0) -> Tensor:
        """Which torch does of tensors of one size only: that of the longest."""
        if self.ones:
            raise TypeError("of tensors from before a loop and of it one size is not known")
        return self.rows.movedim(1, 1 + self.axis).movedim(0, dim)

    def padded(
        self, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
    ) -> Tensor:
        """As torch.nn.utils.rnn.pad_sequence."""
        if self.ones or self.axis or padding_side != "right":
            raise TypeError("of a list like this only what is behind each can be filled")
        counts = self._counts().reshape(*self.rows.shape[:2], *[1] * (self.rows.dim() - 2))
        found = torch.where(counts, self.rows, padding_value)
        return found if batch_first else found.transpose(0, 1)
