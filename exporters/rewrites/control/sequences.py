"""Sequences whose length is not known while tracing: ranges, rows of a tensor, steps of a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce, wraps
from itertools import pairwise, product
from math import prod
from typing import Any

import torch
from torch import SymInt, Tensor
from torch._subclasses import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols, statically_known_true
from torch.nn.utils.rnn import pad_sequence

from exporters.rewrites.calls import placed
from exporters.rewrites.control.capture import is_tried
from exporters.rewrites.control.same_rows import noted, row_of
from exporters.rewrites.control.sizes import compared, is_open, is_traced, settled
from exporters.rewrites.control.stacked import Ragged, Stacked, Unknown


@dataclass(frozen=True)
class Counted(Unknown):
    """`item(k)` is its number k of `count`; it does not change."""

    count: Any
    item: Callable[[Any], Any]
    number: int | None = None
    """What all of them are, where that is known."""

    @classmethod
    def of(cls, start: Any, stop: Any, step: Any) -> Counted:
        """The range, of a step that is known to go up or down."""
        up = compared(">", step, 0) is True  # of what is no less than 0 ONNX's Div is the floor
        steps = (stop - start + step - 1) // step if up else -((start - stop) // step)
        if compared(">=", steps, 0) is not True:
            steps = torch.sym_max(steps, 0)
        return cls(steps, lambda k: start + k * step)

    def __reversed__(self) -> Counted:
        return Counted(self.count, lambda k: self.item(self.count - 1 - k))

    def __getitem__(self, index: Any) -> Any:
        """Of an index that it may not have nothing is asked: PyTorch would refuse such a size."""
        if not isinstance(index, slice):
            return self.item(self._place(index))
        step = 1 if index.step is None else index.step
        if index == slice(None, None, -1):
            return reversed(self)
        if step < 0:
            raise TypeError("of a sequence of unknown length a part is taken forwards only")
        start = 0 if index.start is None else self._within(index.start)
        stop = self.count if index.stop is None else self._within(index.stop)
        places = Counted.of(start, stop, step)
        return Counted(places.count, lambda k: self.item(places.item(k)))

    def __radd__(self, ones: Any) -> Counted:
        """Known numbers in front."""
        if not isinstance(ones, (list, tuple)):
            return NotImplemented
        known = len(ones)

        def item(k: Any) -> Any:
            if isinstance(k, int) and k < known:
                return ones[k]
            if compared(">=", k, known) is True:
                return self.item(k - known)
            raise TypeError("of a sequence that begins with known numbers this may be any of them")

        return Counted(self.count + known, item)

    def _place(self, index: Any) -> Any:
        return self.count + index if compared("<", index, 0) is True else index

    def _within(self, end: int) -> Any:
        known = compared(">=", self.count, abs(end)) is True
        if end < 0:
            return self.count + end if known else torch.sym_max(self.count + end, 0)
        return end if known else torch.sym_min(self.count, end)

    def tensor(self) -> Tensor:
        """Of a sequence of numbers."""
        if self.number is not None:
            return torch.full((self.count,), self.number)
        found: Tensor = self.item(torch.arange(self.count))
        return found


def counted(iterable: Any) -> Counted | None:
    """What is iterated over, where its length is not known."""
    steps = rows(iterable)
    if isinstance(steps, Counted):
        return steps
    if isinstance(steps, Ragged) and not steps.ones:
        return Counted(steps.count(), steps.item)
    many = steps.alike() if isinstance(steps, Stacked) else None
    return None if many is None else Counted(many.shape[0], lambda k: many.select(0, k))


def rows(of: Any) -> Any:
    """The steps of a loop as they are, and so the rows of a tensor of which nobody knows how many
    there are; all else as it came."""
    if isinstance(of, Tensor) and is_traced(of) and of.dim() and is_open(of.shape[0]):
        row = row_of(of)
        return Stacked([], of) if row is None else repeated([row], of.shape[0])
    return of


def ranged(*arguments: Any) -> Any:
    if not any(is_open(a) for a in arguments):
        return range(*arguments)
    start, stop, step = {1: (0, *arguments, 1), 2: (*arguments, 1), 3: arguments}[len(arguments)]
    if not isinstance(step, int):
        if compared(">", step, 0) is not True:
            return range(*arguments)
        if compared("<", start, stop) is True and compared("<=", stop - start, step) is True:
            return [start]
    found = Counted.of(start, stop, step)
    steps = settled(found.count)
    return found if steps is None else [found.item(k) for k in range(steps)]


def repeated(items: list[Any], times: Any) -> Any:
    """`[item] * times`."""
    if not is_open(times):
        return items * times
    (one,) = items
    return Counted(times, lambda _: one, one if isinstance(one, int) else None)


def length(of: Any) -> Any:
    if isinstance(of, Tensor) and of.dim():
        return of.shape[0]
    if isinstance(of, (Stacked, Ragged)):
        return of.count()
    return of.count if isinstance(of, Counted) else len(of)


def listed(of: Any = ()) -> Any:
    """Whoever asks for a list or a tuple of it does not change it, or is refused."""
    found = rows(of)
    return found if isinstance(found, Unknown) else list(found)


def tupled(of: Any = ()) -> Any:
    found = listed(of)
    return tuple(found) if isinstance(found, list) else found


def numbered(iterable: Any, start: int = 0) -> Any:
    steps = counted(iterable)
    if steps is None:
        return enumerate(iterable, start)
    return Counted(steps.count, lambda k: (k + start, steps.item(k)))


def paired(*iterables: Any, strict: bool = False) -> Any:
    """Of lengths that are not known nothing is asked, `strict` or not."""
    steps = [counted(i) for i in iterables]
    if not any(steps):
        return zip(*iterables, strict=strict)
    if not all(steps):
        raise TypeError("zip() of one sequence of unknown length and one of known length")
    known = [s for s in steps if s]
    count = reduce(_shorter, (s.count for s in known))
    return Counted(count, lambda k: tuple(s.item(k) for s in known))


def columns(of: Any) -> Any:
    """`zip(*rows)`: of as many rows as there are each column is a tensor."""
    found = rows(of)
    many = found.alike() if isinstance(found, Stacked) else None
    return zip(*of) if many is None else many.unbind(1)  # noqa: B905  # as it is written there


def crossed(*iterables: Any, repeat: int = 1) -> Any:
    """`itertools.product`: the last one changes with every step."""
    steps = [counted(i) for i in iterables]
    if not any(steps):
        return product(*iterables, repeat=repeat)
    if len(steps) != 2 or repeat != 1 or not all(steps):
        raise TypeError("product() of sequences of unknown length is of two of them")
    (one, other) = (s for s in steps if s)
    return Counted(
        one.count * other.count,
        lambda k: (one.item(k // other.count), other.item(k % other.count)),
    )


def adjacent(iterable: Any) -> Any:
    """`itertools.pairwise`."""
    steps = counted(iterable)
    if steps is None:
        return pairwise(iterable)
    pairs = Counted.of(0, steps.count - 1, 1)
    return Counted(pairs.count, lambda k: (steps.item(k), steps.item(k + 1)))


def _shorter(one: Any, other: Any) -> Any:
    return one if compared("<=", one, other) is True else torch.sym_min(one, other)


def taken(of: Any, index: Any) -> Any:
    """`of[index]`, where slices that move with the steps of a loop keep the length they have.

    torch gives `x[:, t : t + 1]` a length of its own, of which nothing is known.
    """
    if not (isinstance(of, Tensor) and is_traced(of)):
        return of[index]
    parts = index if isinstance(index, tuple) else (index,)
    for at, part in enumerate(parts):
        axis = _axis(parts, at)
        if axis is not None and (size := _moved(part, of.shape[axis])):
            of = of.index_select(axis, torch.arange(size, device=of.device) + part.start)
            parts = (*parts[:at], slice(None), *parts[at + 1 :])
    return of[parts]


def _moved(part: Any, whole: Any) -> int | None:
    """The length of a slice from a value that is not known to one that is always as far from it,
    if it is within the whole: Python makes one shorter that is not.

    While a step is tried on shapes alone nothing is known of its number: there any may be.
    """
    if not isinstance(part, slice) or part.step is not None or not is_open(part.start):
        return None
    size = part.stop - part.start
    if not free_unbacked_symbols(part.start) or is_open(size) or size <= 0:
        return None
    within = (part.start >= 0, part.stop <= whole)
    known = is_tried() or all(map(statically_known_true, within))
    return int(size) if known else None


def _axis(index: tuple[Any, ...], at: int) -> int | None:
    """The axis that an entry of an index is about, where those on one side tell."""

    def plain(part: Any) -> bool:
        return isinstance(part, (slice, int, SymInt)) and not isinstance(part, bool)

    if all(map(plain, index[:at])):
        return at
    return at - len(index) if all(map(plain, index[at + 1 :])) else None


def summed(of: Any, start: Any = 0) -> Any:
    found = rows(of)
    if isinstance(found, Stacked):
        return sum(found.ones, start) + found.many.sum(0)
    return found.tensor().sum() + start if isinstance(found, Counted) else sum(found, start)


@contextmanager
def understood() -> Iterator[None]:
    """While tracing, what makes several tensors of one or one of several knows such sequences."""
    with ExitStack() as stack:
        for (holder, name), way in _WAYS.items():
            own = getattr(holder, name)
            setattr(holder, name, _bound(own, way))
            stack.callback(setattr, holder, name, own)
        yield


def _bound(own: Callable[..., Any], way: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(own)
    def function(*arguments: Any, **keywords: Any) -> Any:
        given, named = placed(arguments, keywords)
        return way(own, *given, **named)

    return function


def _unbound(own: Callable[..., Any], x: Tensor, dim: int = 0) -> Any:
    if is_traced(x) and is_open(x.shape[dim]):
        return Stacked([], x.movedim(dim, 0))
    return own(x, dim)


def _numbers(own: Callable[..., Any], x: Tensor) -> Any:
    """`lengths.tolist()`, of as many as there are."""
    if (row := row_of(x)) is not None:
        return repeated([row], x.shape[0])
    if not (x.dim() == 1 and is_traced(x) and is_open(x.shape[0])):
        return own(x)
    return Counted(x.shape[0], lambda k: x[k] if isinstance(k, Tensor) else _whole(x[k]))


def _multiplied(own: Callable[..., Any], x: Tensor, *arguments: Any, **keywords: Any) -> Any:
    """`grid_thw.prod(-1)`, of rows that are known."""
    found, row = own(x, *arguments, **keywords), row_of(x)
    if isinstance(row, tuple) and found.dim() == 1:
        noted(found, prod(row))
    return found


def _whole(number: Tensor) -> Any:
    return number.item()


def _parted(own: Callable[..., Any], x: Tensor, size: Any, dim: int = 0) -> Any:
    """Into pieces of one (of more the last may be shorter), or of sizes in a sequence."""
    if (number := getattr(size, "number", None)) is not None and not getattr(size, "ones", ()):
        return Stacked([], x.unflatten(dim, (length(size), number)).movedim(dim, 0))
    if isinstance(size, Counted):
        sizes = size.tensor()
        starts = sizes.cumsum(0) - sizes
        return Counted(size.count, lambda k: x.narrow(dim, _whole(starts[k]), _whole(sizes[k])))
    if isinstance(size, int) and size == 1 and is_traced(x) and is_open(x.shape[dim]):
        return Stacked([], x.movedim(dim, 0).unsqueeze(dim % x.dim() + 1))
    return own(x, size, dim)


def _joining(name: str) -> Callable[..., Any]:
    def joined(own: Callable[..., Any], tensors: Any, *arguments: Any, **keywords: Any) -> Any:
        way = getattr(tensors, name, None) if isinstance(tensors, Unknown) else None
        return way(*arguments, **keywords) if way else own(tensors, *arguments, **keywords)

    return joined


def padded(tensors: Any, *arguments: Any, **keywords: Any) -> Tensor:
    """pad_sequence."""
    if isinstance(tensors, Ragged):
        return tensors.padded(*arguments, **keywords)
    if isinstance(tensors, Stacked) and not tensors.ones:
        front = keywords.get("batch_first", bool(arguments and arguments[0]))
        return tensors.many if front else tensors.many.transpose(0, 1)
    found: Tensor = pad_sequence(tensors, *arguments, **keywords)
    return found


_WAYS: dict[tuple[Any, str], Callable[..., Any]] = {
    (torch, "unbind"): _unbound,
    (Tensor, "unbind"): _unbound,
    **{(kind, "tolist"): _numbers for kind in (Tensor, FakeTensor, FunctionalTensor)},
    (Tensor, "prod"): _multiplied,
    (torch, "split"): _parted,
    (Tensor, "split"): _parted,
    (torch, "stack"): _joining("stack"),
    **dict.fromkeys(((torch, name) for name in ("cat", "concat", "concatenate")), _joining("cat")),
}
