"""Where and why a file differs from its original: what localization found, immutable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Departure:
    """The first node whose value differs. `ratio`: its error over the yardstick, where known."""

    node: str
    operator: str
    module: str = ""
    line: str = ""
    ratio: float = 0.0
    expected: str = ""
    """What the original computes in its place: an operator of PyTorch, or a node of a file."""

    def __str__(self) -> str:
        named = self.node or "(unnamed)"
        parts = [f"node '{named}' ({self.operator})"]
        if self.module:
            parts.append(f"in module {self.module}")
        return " ".join(parts) + (f", {self.line}" if self.line else "")


@dataclass(frozen=True)
class Layer:
    """The largest error in one module, in yardsticks; SQNR in dB where a file was quantized."""

    module: str
    ratio: float
    sqnr: float | None = None


@dataclass(frozen=True)
class Located:
    """Where and why a file differs, as far as it was found out."""

    departure: Departure | None = None
    blame: tuple[str, ...] = ()
    """Who brought it in: a stage, an optimization of a runtime; a sentence each."""
    profile: tuple[Layer, ...] = ()
    """Module by module in the order in which they run."""
    case: str = ""
    """The case that was looked at."""
    reproduction: str = ""
    """How to see it with a smaller model, where one was written."""

    @property
    def weakest(self) -> tuple[Layer, ...]:
        """Of a rounded file: the layers that lose the most signal, three at most, worst first."""
        rounded = [layer for layer in self.profile if layer.sqnr is not None]
        return tuple(sorted(rounded, key=lambda layer: (layer.sqnr, layer.module))[:3])

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        found["blame"] = list(self.blame)
        found["profile"] = [{k: _number(v) for k, v in asdict(x).items()} for x in self.profile]
        if self.departure:
            found["departure"]["ratio"] = _number(self.departure.ratio)
        return found


def _number(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
