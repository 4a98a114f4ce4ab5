"""What a module computes on the way: the value of every operator, its module and line.

Fused kernels are told apart into the operators they stand for: attention into its products and
softmax, as exporters write them.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import toolkit.model
from runtimes.layers import of_layers
from toolkit.model import to_array
from toolkit.parity.landmarks import LAID_OUT
from toolkit.parity.likeness import LAYER
from toolkit.parity.sketch import Sketch

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)
_FLAT = toolkit.model.__file__
"""Where the user's module is called from: no line of theirs lies further out."""


@dataclass(frozen=True)
class Recorded:
    """One value: the operator that made it, the path of the module in which it ran, the line."""

    sketch: Sketch
    operator: str
    module: str
    line: str
    number: int
    """Which of this operator's values in this module it is; -1 for a weight."""
    dtype: str

    @property
    def key(self) -> tuple[str, str, int]:
        return self.module, self.operator, self.number


@dataclass(frozen=True)
class Call:
    """An operator as it was called: its name, the call as Python's text, the tensors it names."""

    operator: str
    text: str
    tensors: Mapping[str, np.ndarray]
    output: int = 0
    """Which of its results is meant."""


def record(module: nn.Module, run: Callable[[], object]) -> list[Recorded]:
    """The values that `run`, which calls `module`, computes, in order.

    Also the module's weights, and each inner module's output with its first two axes swapped:
    exporters put time before the batch.
    """
    recorder = _Recorder()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        owner, _, weight = name.rpartition(".")
        recorder.add(tensor, weight, module=owner, line="")
    with following(module, recorder.entering, recorder.leaving), plainly(), recorder:
        run()
    return recorder.found


def recall(module: nn.Module, run: Callable[[], object], key: tuple[str, str, int]) -> Call | None:
    """How the operator was called whose value `record` gives this key; None where it was none."""
    recorder = _Recorder(key)
    with following(module, recorder.entering, recorder.leaving), plainly(), recorder:
        run()
    return recorder.call


@contextmanager
def plainly() -> Iterator[None]:
    """Without kernels that do the work of several operators."""
    fast, mkldnn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)  # its LSTM is one operator
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(mkldnn)


@contextmanager
def following(
    module: nn.Module, entering: Callable[[str], Callable[..., None]], leaving: Callable[..., None]
) -> Iterator[None]:
    """Calls `entering(path)` before and `leaving` after each inner module that runs."""
    with contextlib.ExitStack() as stack:
        for name, inner in module.named_modules():
            before = inner.register_forward_pre_hook(entering(name))
            after = inner.register_forward_hook(leaving, with_kwargs=True)
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield


class _Recorder(TorchDispatchMode):
    def __init__(self, wanted: tuple[str, str, int] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.call: Call | None = None
        self._wanted = wanted
        self.found: list[Recorded] = []
        self._count: Counter[tuple[str, str]] = Counter()
        self._stack: list[str] = [""]
        self._time = 0
        """The steps of what was packed last."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operator = str(getattr(func, "overloadpacket", func)).rpartition(".")[2]
        before = self._count[self._stack[-1], operator]
        near = self._wanted and self._wanted[:2] == (self._stack[-1], operator)
        called = _called(func, args, kwargs or {}) if near and not self.call else None
        result = func(*args, **(kwargs or {}))
        if operator == "_pack_padded_sequence":
            self._time = args[0].shape[1 if args[2] else 0]
        if operator == "addmm" and not kwargs:
            with torch._C._DisableTorchDispatch():
                self.add(result - args[0], "mm")
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor, operator)
        after = self._count[self._stack[-1], operator]
        if called and self._wanted and before <= self._wanted[2] < after:
            self.call = replace(called, output=self._wanted[2] - before)
        return result

    def add(
        self,
        tensor: torch.Tensor,
        operator: str,
        *,
        module: str | None = None,
        line: str | None = None,
    ) -> None:
        if tensor.is_meta or tensor.is_complex() or tensor.is_sparse or not tensor.numel():
            return
        where, number = self._stack[-1] if module is None else module, -1
        if module is None:
            number = self._count[where, operator]
            self._count[where, operator] += 1
        at = _users_line() if line is None else line
        dtype = str(tensor.dtype).removeprefix("torch.")
        sketch = Sketch.of(to_array(tensor))
        self.found.append(Recorded(sketch, operator, where, at, number, dtype))

    def entering(self, name: str) -> Callable[..., None]:
        def enter(*_: object) -> None:
            self._stack.append(name)

        return enter

    def leaving(self, module: nn.Module, given: Any, named: Any, output: object) -> None:
        with torch._C._DisableTorchDispatch():
            if isinstance(module, nn.RNNBase) and module.num_layers > 1:
                for value in of_layers(module, given, named, self._time):
                    self.add(value, LAYER, line="")
            for tensor in tree_leaves(output):
                if isinstance(tensor, torch.Tensor) and tensor.dim() > 2:
                    self.add(tensor.transpose(0, 1), LAID_OUT, line="")
        self._stack.pop()


def _called(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Call | None:
    """The call as text, with its tensors copied: the operator may write to them."""
    tensors: dict[str, np.ndarray] = {}
    try:
        parts = [_text(value, tensors) for value in args]
        parts += [f"{name}={_text(value, tensors)}" for name, value in kwargs.items()]
    except TypeError:
        return None
    return Call(f"torch.ops.{func}", f"torch.ops.{func}({', '.join(parts)})", tensors)


def _text(value: Any, tensors: dict[str, np.ndarray]) -> str:
    if isinstance(value, torch.Tensor):
        name = f"a{len(tensors)}"
        tensors[name] = np.array(to_array(value))
        return name
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_text(item, tensors) for item in value)}]"
    if isinstance(value, torch.device):
        return "'cpu'"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, (type(None), bool, int, float, str, *_NAMED)):
        return str(value) if isinstance(value, _NAMED) else repr(value)
    raise TypeError(type(value).__name__)


_NAMED = (torch.dtype, torch.layout, torch.memory_format)


def _users_line() -> str:
    """`net.py:42`: the innermost line of Python that is neither PyTorch's nor ours."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename != _FLAT:
        file = frame.f_code.co_filename
        if not file.startswith((_TORCH, _HERE, "<")) and "contextlib" not in file:
            return f"{_shown(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _shown(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.name
