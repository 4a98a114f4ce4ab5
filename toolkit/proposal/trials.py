"""Eager runs of a module on its example made larger, smaller or other: what it accepts."""

from __future__ import annotations

import linecache
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from toolkit.calls import Call
from toolkit.errors import InputError
from toolkit.structure import flatten
from toolkit.whose import is_models

Axis = tuple[int, int]
"""Number of the input, number of its axis."""

SECONDS = 30.0
"""For all trials together; what is not tried then is not proposed."""


class Trials:
    """Runs of one module. `out_of_time` says that not everything was tried."""

    def __init__(self, module: nn.Module, call: Call, examples: Sequence[Sequence[torch.Tensor]]):
        self._module, self._call, self._example = module, call, list(examples[0])
        self._end = time.perf_counter() + SECONDS
        self._known: dict[tuple[tuple[Axis, int], ...], str] = {}
        self._structure: list[tuple[str, torch.dtype, int]] = []
        self._finite = True
        self.out_of_time = False
        self.seconds = 0.0
        """That the run before took."""
        for tensors in examples:
            if wrong := self.problem(tensors):
                shapes = ", ".join(
                    f"{name} {list(t.shape)}" for name, t in zip(call.names, tensors, strict=True)
                )
                raise InputError(f"PyTorch itself refuses the example {shapes}: {wrong}")

        masked = [_masked(tensor) for tensor in self._example]
        self._masked = None if self.problem(masked) else masked

    def accepts_masked(self, sizes: Mapping[Axis, int]) -> bool:
        """The same with zeros among the ones of what may be a mask, where the example takes that.

        Models skip a mask of ones without a look at its size.
        """
        return self._masked is None or not self.problem(_all_resized(self._masked, sizes))

    def accepts(self, sizes: Mapping[Axis, int]) -> bool:
        return not self.refusal(sizes)

    def refusal(self, sizes: Mapping[Axis, int]) -> str:
        """Why the example is refused with axes of other sizes; "" where it is accepted."""
        key = tuple(sorted(sizes.items()))
        if key not in self._known:
            if min(sizes.values(), default=0) < 0:
                return "a size is negative"
            if time.perf_counter() > self._end:
                self.out_of_time = True
                return "there was no time to try"
            self._known[key] = self.problem(self.resized(sizes))
        return self._known[key]

    def resized(self, sizes: Mapping[Axis, int]) -> list[torch.Tensor]:
        """The example with axes cut, or repeated from their start: no new values."""
        return _all_resized(self._example, sizes)

    def problem(self, tensors: Sequence[torch.Tensor]) -> str:
        """Why the module does not take these as it takes its example; "" where it does."""
        arguments, keywords = self._call.arguments([t.clone() for t in tensors])
        start = time.perf_counter()
        try:
            with torch.no_grad():
                found = flatten(self._module(*arguments, **keywords))
        except Exception as error:
            return _reason(error)
        finally:
            self.seconds = time.perf_counter() - start
        if not found:
            return "it returns no tensor"
        structure = [(name, t.dtype, t.dim()) for name, t in found]
        finite = all(bool(t.isfinite().all()) for _, t in found if t.is_floating_point())
        if not self._structure:
            self._structure, self._finite = structure, finite
        if structure != self._structure:
            return "it returns another structure"
        return "it returns NaN or infinite numbers" if self._finite and not finite else ""


def _masked(tensor: torch.Tensor) -> torch.Tensor:
    """Zeros at the end of every row of ones."""
    if tensor.dim() and tensor.shape[-1] > 1 and bool((tensor == 1).all()):
        tensor = tensor.clone()
        tensor[..., -1] = 0
    return tensor


def _all_resized(tensors: Sequence[torch.Tensor], sizes: Mapping[Axis, int]) -> list[torch.Tensor]:
    return [
        _resized(tensor, {axis: size for (i, axis), size in sizes.items() if i == number})
        for number, tensor in enumerate(tensors)
    ]


def _resized(tensor: torch.Tensor, sizes: Mapping[int, int]) -> torch.Tensor:
    for axis, size in sizes.items():
        if tensor.shape[axis]:
            tensor = tensor.index_select(axis, torch.arange(size) % tensor.shape[axis])
        else:
            shape = [*tensor.shape[:axis], size, *tensor.shape[axis + 1 :]]
            tensor = torch.zeros(shape, dtype=tensor.dtype)
    return tensor


def _reason(error: BaseException) -> str:
    """Its first line, and the user's line that led there."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_models(frame.filename):
            code = linecache.getline(frame.filename, frame.lineno or 0).strip()
            return f"{text} ({Path(frame.filename).name} line {frame.lineno}: {code})"
    return text
