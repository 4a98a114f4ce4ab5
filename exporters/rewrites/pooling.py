"""Adaptive pooling for any size, and average pooling with a divisor of its own.

AdaptiveAvgPool2d(6) over a dynamic size is wrong from both of torch's exporters, silently: the
windows are those of the example. Adaptive maximum pooling has no translation at all, and
`divisor_override` is dropped. Window i of n over a size is floor(i * size / n) up to
ceil((i + 1) * size / n), as in ATen's AdaptivePooling.h; an axis at a time is gathered as windows
of one length, the longest that there may be, and what is beyond the end of a window does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn import functional

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing

Size = int | SymInt


class Windows(NamedTuple):
    """The windows of one axis: for each the positions in it, and how many of them count."""

    positions: Tensor
    """[windows, longest]; beyond its end, a window repeats its last position."""
    lengths: Tensor
    """[windows]"""


def windows(size: Size, count: Size) -> Windows:
    """Adaptive windows over an axis: as many as `count`, each of one position at least."""
    number = _up_to(count)
    if statically_known_true(size == count):
        return Windows(number[:, None], torch.ones_like(number))
    start = number * size // count
    end = ((number + 1) * size + count - 1) // count
    longest = _longest(size, count)
    positions = torch.minimum(start[:, None] + _up_to(longest), end[:, None] - 1)
    return Windows(positions, end - start)


def _up_to(end: Size) -> Tensor:
    return torch.arange(end)  # type: ignore[arg-type]  # its stub has no SymInt


def _longest(size: Size, count: Size) -> Size:
    if isinstance(size, int) and isinstance(count, int):
        number = range(count)
        return max((-(-(i + 1) * size // count) - i * size // count for i in number), default=0)
    return (size + count - 1) // count + 1


def gathered(x: Tensor, axis: int, positions: Tensor) -> Tensor:
    """The axis made as many as `positions` has: windows, and what is in them."""
    chosen = x.index_select(axis, positions.flatten())
    return torch.unflatten(chosen, axis, positions.shape)


def adaptive_average(x: Tensor, output_size: Sequence[Size]) -> Tensor:
    """Over the last axes, one for each output size."""
    sizes = x.shape[x.dim() - len(output_size) :]
    if all(statically_known_true(count == 1) for count in output_size):
        return x.mean(tuple(range(-len(sizes), 0)), keepdim=True)
    if kernel := _kernel(sizes, output_size):
        return _AVERAGES[len(kernel)](x, kernel)
    for axis, (size, count) in enumerate(zip(sizes, output_size, strict=True), -len(sizes)):
        x = _average_along(x, axis, size, count)
    return x


def _kernel(sizes: Sequence[Size], counts: Sequence[Size]) -> list[int]:
    """Of pooling that is not adaptive and does the same; nothing where there is none, or no say."""
    kernel = []
    for size, count in zip(sizes, counts, strict=True):
        if not isinstance(size, int) or not isinstance(count, int) or not count or size % count:
            return []
        kernel.append(size // count)
    return kernel


def _average_along(x: Tensor, axis: int, size: Size, count: Size) -> Tensor:
    if statically_known_true(size == count):
        return x
    if statically_known_true(count == 1):
        return x.mean(axis, keepdim=True)
    found = windows(size, count)
    counts = _up_to(found.positions.shape[1]) < found.lengths[:, None]
    after = [1] * (-axis - 1)
    values = torch.where(
        counts.reshape(*counts.shape, *after), gathered(x, axis, found.positions), 0.0
    )
    return values.sum(axis) / found.lengths.to(x.dtype).reshape(-1, *after)


def adaptive_maximum(x: Tensor, output_size: Sequence[Size]) -> tuple[Tensor, Tensor]:
    """Over the last axes, with the place of each maximum in them, counted row by row."""
    axes = len(output_size)
    sizes = x.shape[x.dim() - axes :]
    places = torch.zeros([], dtype=torch.int64)
    for number, (size, count) in enumerate(zip(sizes, output_size, strict=True)):
        found = windows(size, count)
        # Axes pooled so far are [windows, positions] each.
        x = gathered(x, number - axes, found.positions)
        own = found.positions.reshape(*found.positions.shape, *[1] * 2 * (axes - number - 1))
        places = places * size + own
    order = [*range(x.dim() - 2 * axes), *range(-2 * axes, 0, 2), *range(1 - 2 * axes, 0, 2)]
    x = x.permute([axis % x.dim() for axis in order]).flatten(-axes)
    places = places.permute([*range(0, 2 * axes, 2), *range(1, 2 * axes, 2)]).flatten(-axes)
    best = x.argmax(-1, keepdim=True)
    return x.amax(-1), places.expand(x.shape).gather(-1, best).squeeze(-1)


def average_by(
    axes: int,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average pooling whose sums are divided by a number that is given; any other is left alone."""
    if divisor_override is None:
        return NotImplemented  # type: ignore[no-any-return]  # mypy knows it of operators only
    kernel, pads = each(kernel_size, axes), each(padding, axes)
    strides = each(stride, axes) if stride else kernel
    more = [step - 1 if ceil_mode else 0 for step in strides]
    sides = [side for pad, m in zip(pads[::-1], more[::-1], strict=True) for side in (pad, pad + m)]
    sums = _AVERAGES[axes](functional.pad(x, sides), kernel, strides) * math.prod(kernel)
    if ceil_mode:  # no window may begin in the padding on the right
        for axis, (pad, step) in enumerate(zip(pads, strides, strict=True), -axes):
            begun = (x.shape[axis] + pad + step - 1) // step
            sums = sums.narrow(axis, 0, torch.sym_min(begun, sums.shape[axis]))
    return sums / divisor_override


def each(numbers: int | Sequence[int], axes: int) -> list[int]:
    """A number for each axis, where one may stand for all."""
    given = [numbers] if isinstance(numbers, int) else [*numbers]
    return given * axes if len(given) == 1 else given


_AVERAGES: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def _maximum_of_line(
    input: Tensor,  # noqa: A002
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Without the indices PyTorch takes a kernel of its own, which fixes the length."""
    assert not return_indices  # PyTorch then calls max_pool1d_with_indices
    stride = () if stride is None else stride
    rest = (kernel_size, stride, padding, dilation, ceil_mode)
    return torch.max_pool1d_with_indices(input, *rest)[0]


def _adaptive_maximum(axes: int) -> Callable[..., Any]:
    """functional.adaptive_max_pool*, whose operator takes no symbolic size."""
    operator = getattr(torch.ops.aten, f"adaptive_max_pool{axes}d").default

    def pool(x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        given = output_size if isinstance(output_size, (list, tuple)) else [output_size] * axes
        own = x.shape[x.dim() - axes :]
        sizes = [size if n is None else n for n, size in zip(given, own, strict=True)]
        symbolic = any(isinstance(size, SymInt) for size in sizes)
        found = adaptive_maximum(x, sizes) if symbolic else operator(x, sizes)
        return found if return_indices else found[0]

    return pool


def _calls() -> dict[Any, Callable[..., Any]]:
    calls: dict[Any, Callable[..., Any]] = {
        torch.max_pool1d: _maximum_of_line,
        functional.max_pool1d: _maximum_of_line,
    }
    for axes in (1, 2, 3):
        pool = _adaptive_maximum(axes)
        calls[getattr(functional, f"adaptive_max_pool{axes}d")] = pool
        calls[getattr(functional, f"adaptive_max_pool{axes}d_with_indices")] = partial(
            pool, return_indices=True
        )
    return calls


_aten = torch.ops.aten
_AVERAGE = ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
_MAXIMUM = ("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")

FAMILY = Family(
    "pooling",
    tracing=lambda _: replacing(_calls()),
    decompositions={
        **{getattr(_aten, name).default: adaptive_average for name in _AVERAGE},
        **{getattr(_aten, name).default: adaptive_maximum for name in _MAXIMUM},
        _aten._adaptive_avg_pool2d.default: adaptive_average,
        _aten._adaptive_avg_pool3d.default: adaptive_average,
        _aten.avg_pool2d.default: partial(average_by, 2),
        _aten.avg_pool3d.default: partial(average_by, 3),
    },
)
