"""How many threads PyTorch computes with, for a while. It is imported here when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread_less() -> Iterator[None]:
    """Where threads outnumber cores, those of OpenMP wait for each other busily."""
    import torch

    with torch_threads(max(1, torch.get_num_threads() - 1)):
        yield
