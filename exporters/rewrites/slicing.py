"""Slices whose bound may lie outside of a dynamic size: `x[:, -8:]` where there may be fewer.

PyTorch clips the bound. torch.export asks whether the size is above 8, and then holds for one of
the answers only: `t` from 1 to 64 is refused at `x[:, -8:]` and at `x[:, :32]` alike. ONNX's Slice
clips as PyTorch does, so here such a slice is that node. So is `y[..., :h, :w]`, by which an image
that was padded to a multiple of 8 gets its size back: that a size is no larger than what it was
padded to, torch asks as well.

And `x.chunk(3, dim=1)` of a dynamic size: torch's exporter writes SplitToSequence with a computed
size, at which its own optimizer fails. How many parts there are is known: each is a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.overrides import TorchFunctionMode

from exporters.rewrites import Family, blocks
from exporters.rewrites.control.sizes import as_tensor, compared

_END = 2**63 - 1  # INT64_MAX: "to the end", onnx Slice-13
Size = int | torch.SymInt
_AUGMENTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_WRITING = frozenset(["__setitem__", *(f"__i{name}__" for name in _AUGMENTED)])


class _Slicing(TorchFunctionMode):
    """What was cut is a copy: what is written into it is written where it was cut from, too."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, tuple[Tensor, Tensor, Any]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.slice:  # what torch.export makes of an index with open numbers
            tensor, dim, *bounds = args
            index = (*[slice(None)] * dim, slice(*bounds))
        elif func is Tensor.__getitem__:
            tensor, index = args
        elif func is Tensor.__setitem__ and blocks.fill(*args):
            self._write_back(args[0])
            return None
        else:
            result = func(*args, **(kwargs or {}))
            if _writes(getattr(func, "__name__", "")):
                self._write_back(args[0])
            return result
        cuts, rest = split(index, tensor.shape)
        if not cuts:
            return func(*args, **(kwargs or {}))
        cut = _cut(tensor, cuts)[rest]
        self._made[_memory(cut)] = cut, tensor, index
        return cut

    def _write_back(self, tensor: Tensor) -> None:
        while self._made and (found := self._made.get(_memory(tensor))):
            cut, tensor, index = found
            tensor[index] = cut


def _memory(tensor: Tensor) -> int:
    """The same for all views of a tensor."""
    found: int = tensor.untyped_storage()._cdata
    return found


def _writes(name: str) -> bool:
    """`x.fill_(0)`, `x += 1`, `x[0] = 1`."""
    return name in _WRITING or (name.endswith("_") and not name.endswith("__"))


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    with _Slicing():
        yield


def _split(x: Tensor, size: Size, dim: int = 0) -> Any:
    if isinstance(size, int):
        return NotImplemented
    count = int((x.shape[dim] + size - 1) // size)
    starts = [n * size for n in range(count)]
    return [x.narrow(dim, at, torch.sym_min(size, x.shape[dim] - at)) for at in starts]


FAMILY = Family("slicing", tracing=_tracing, decompositions={torch.ops.aten.split.Tensor: _split})


class Cut(NamedTuple):
    """One axis, sliced from `start` to `stop`, which may lie outside of its size."""

    axis: int
    start: Size
    stop: Size


def split(index: Any, shape: Sequence[Size]) -> tuple[list[Cut], Any]:
    """The slices of an index that torch.export would have to ask about, and the index without them.

    That is where the size is symbolic and not known to contain both bounds.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if not any(isinstance(part, slice) for part in parts):
        return [], index
    hidden = len(shape) - sum(map(_axes, parts))
    cuts, axis = [], 0
    for number, part in enumerate(parts):
        if isinstance(part, slice) and axis < len(shape) and _is_open(part, shape[axis]):
            stop = _END if part.stop is None else part.stop
            cuts.append(Cut(axis, part.start or 0, stop))
            parts[number] = slice(None)
        axis += hidden if part is Ellipsis else _axes(part)
    return cuts, tuple(parts)


def _axes(part: Any) -> int:
    """How many axes a part of an index stands for."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.dim() if isinstance(part, Tensor) and part.dtype == torch.bool else 1


def _is_open(part: slice, size: Size) -> bool:
    if not isinstance(size, torch.SymInt) or part.step not in (None, 1):
        return False
    bounds = [at for at in (part.start, part.stop) if at is not None]
    if not all(map(_has_sign, bounds)):
        return False
    if isinstance(part.stop, torch.SymInt) and not part.stop.node.expr.is_Symbol:
        return True  # of n // 4 * 4 torch keeps that it may be cut short, n being less
    within = (size >= (at if _is_counted(at) else -at) for at in bounds)
    return not all(map(statically_known_true, within))


def _has_sign(at: Any) -> bool:
    """Is it known from which end the bound counts?"""
    return isinstance(at, int) or (
        isinstance(at, torch.SymInt) and isinstance(compared(">=", at, 0), bool)
    )


def _is_counted(at: Size) -> bool:
    """From the start, not from the end."""
    return compared(">=", at, 0) is True


def _cut(tensor: Tensor, cuts: Sequence[Cut]) -> Tensor:
    shape: list[Size] = list(tensor.shape)
    for axis, start, stop in cuts:
        first = start if _is_counted(start) else _clipped(start, shape[axis])
        last = _clipped(stop, shape[axis])
        shape[axis] = _difference(first, last)
    return sliced(tensor, cuts, shape)


def sliced(tensor: Tensor, cuts: Sequence[Cut], shape: Sequence[Size]) -> Tensor:
    """ONNX's Slice, of which torch asks nothing: the shape is what the caller says."""
    numbers = [torch.stack([*map(as_tensor, column)]) for column in zip(*cuts, strict=True)]
    axes, starts, ends = numbers
    result: Tensor = torch.onnx.ops.symbolic(
        "Slice", [tensor, starts, ends, axes], dtype=tensor.dtype, shape=list(shape), version=13
    )
    return result


def _clipped(at: Size, size: Size) -> Size:
    if isinstance(at, int) and at == _END:
        return size
    if not _is_counted(at):
        return _difference(-at, size)
    return at if compared("<=", at, size) is True else torch.sym_min(size, at)


def _difference(first: Size, last: Size) -> Size:
    if isinstance(first, int) and first == 0:
        return last
    left = last - first
    return left if compared(">=", left, 0) is True else torch.sym_max(left, 0)
