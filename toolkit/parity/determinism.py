"""Is the original a function at all? Run it twice; find the module that draws random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from toolkit import examples
from toolkit.dtypes import DTYPES, epsilon
from toolkit.errors import InputError
from toolkit.parity.metrics import max_abs_error, scale
from toolkit.plugins import Session

if TYPE_CHECKING:
    import torch

    from toolkit.model import LoadedModel

_ORDER_OF_SUMS = 1024
"""Ulps of the largest value by which the order of parallel sums may change a result."""


def require_deterministic(model: LoadedModel, session: Session) -> None:
    """Raises InputError that names the output and the module where two equal runs differ."""
    _, feeds = examples.sample(model.signature, model.examples, seed=1)
    one, other = session.run(feeds), session.run(feeds)
    for name, array in one.items():
        again = other[name]
        if array.tobytes() == again.tobytes() and array.shape == again.shape:
            continue
        apart = max_abs_error(array, again) if array.shape == again.shape else np.inf
        if not apart <= _allowed(array):
            culprit = _first_random_module(model, session, feeds)
            raise InputError(
                f"the model is not deterministic: '{name}' differs by {apart:.3g} between two runs"
                f" on one input, first in {culprit}",
                "make the random numbers an input, or drop them in eval mode"
                " (F.dropout needs training=self.training)",
            )


def _allowed(array: np.ndarray) -> float:
    if DTYPES[str(array.dtype)].kind != "f":
        return 0.0
    return scale(array) * epsilon(str(array.dtype)) * _ORDER_OF_SUMS


def _first_random_module(
    model: LoadedModel, session: Session, feeds: Mapping[str, np.ndarray]
) -> str:
    """The first module to finish with another output than in a run before."""
    traces: list[list[tuple[str, float]]] = []
    for _ in range(2):
        trace: list[tuple[str, float]] = []
        hooks = [
            m.register_forward_hook(_recorder(trace, f"{name or 'the model'} ({type(m).__name__})"))
            for name, m in model.module.named_modules()
        ]
        session.run(feeds)
        for hook in hooks:
            hook.remove()
        traces.append(trace)
    pairs = zip(*traces, strict=False)
    return next((a[0] for a, b in pairs if a != b), "the model itself")


def _recorder(
    trace: list[tuple[str, float]], name: str
) -> Callable[[torch.nn.Module, object, object], None]:
    def record(_module: torch.nn.Module, _inputs: object, output: object) -> None:
        import torch

        total = output.double().sum().item() if isinstance(output, torch.Tensor) else 0.0
        trace.append((name, total))

    return record
