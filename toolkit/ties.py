"""PyTorch's topk with ties as ONNX has them: of equal numbers the first comes first.

PyTorch does not say which of them it takes, and on CPUs it may be any. Its sorts are stable there,
and its argmax takes the first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def first_of_equals() -> Iterator[list[str]]:
    """While it is entered, topk in this thread is the front of a stable sort.

    Yields the calls of it since.
    """
    asked: list[str] = []
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield asked
        return
    overrides: Any = sys.modules["torch.overrides"]

    class First(overrides.TorchFunctionMode):  # type: ignore[misc]  # torch is not imported here
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func in (torch.topk, torch.Tensor.topk) and not (kwargs or {}).get("out"):
                asked.append(func.__name__)
                return _front(torch, *args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    with First():
        yield asked


def _front(
    torch: Any,
    x: Any,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
) -> Any:
    values, places = torch.sort(x, dim=dim, descending=largest, stable=True)
    return torch.return_types.topk((values.narrow(dim, 0, k), places.narrow(dim, 0, k)))
