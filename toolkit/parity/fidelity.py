"""How faithful a rounded model is: signal to noise, direction, top-1 agreement; and a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.parity import blocks
from toolkit.parity.metrics import decibels


@dataclass(frozen=True)
class Budget:
    """The least that a lossy candidate must keep of every floating output.

    10 dB is a cosine of about 0.95: below that the output is another one. Most int8 models that
    are of use have 15 to 45 dB.
    """

    min_sqnr: float = 10.0
    min_top1: float = 0.0


@dataclass(frozen=True)
class Fidelity:
    """One output over all rows seen."""

    output: str
    sqnr: float
    """10 log10(sum r^2 / sum (r - c)^2), in dB, over all elements together; inf where equal."""
    cosine: float
    """r.c / (|r| |c|), over all elements as one vector."""
    top1: float | None
    """Share of rows [rows, classes] with the same largest entry; None for other shapes."""
    rows: int

    def within(self, budget: Budget) -> bool:
        return self.sqnr >= budget.min_sqnr and (self.top1 is None or self.top1 >= budget.min_top1)

    def __str__(self) -> str:
        top1 = f", top-1 agrees on {100 * self.top1:.1f} %" if self.top1 is not None else ""
        return f"'{self.output}' {self.sqnr:.1f} dB{top1} ({self.rows} rows)"


class Tally:
    """Adds up what `Fidelity` needs, batch by batch, in constant memory."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}

    def add(self, reference: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray]) -> None:
        """Take in one batch. Positions that are not finite in the reference are left out.

        Raises ValueError where the candidate is not finite where the reference is.
        """
        for name, plain in reference.items():
            if DTYPES[str(plain.dtype)].kind != "f" or not plain.size:
                continue
            classes = plain.ndim == 2 and plain.shape[1] > 1
            sums = np.zeros(4)
            same = 0 if classes else -1
            for r, c in blocks.wide(plain, candidate[name], whole=min(1, plain.ndim)):
                kept = np.isfinite(r)
                if not np.isfinite(c[kept]).all():
                    raise ValueError(f"'{name}' is not finite where the original is")
                r, c = np.where(kept, r, 0.0), np.where(kept, c, 0.0)  # noqa: PLW2901
                sums += (r * r).sum(), ((r - c) ** 2).sum(), (r * c).sum(), (c * c).sum()
                same += int((r.argmax(-1) == c.argmax(-1)).sum()) if classes else 0
            rows = len(plain) if plain.ndim else 1
            self._sums[name] = self._sums.get(name, np.zeros(6)) + np.array([*sums, rows, same])

    def result(self) -> tuple[Fidelity, ...]:
        """Per floating output; an all-zero reference has 0 dB unless the candidate is zero too."""
        return tuple(_fidelity(name, *map(float, sums)) for name, sums in self._sums.items())


def _fidelity(
    name: str, signal: float, noise: float, dot: float, other: float, rows: float, same: float
) -> Fidelity:
    lengths = float(np.sqrt(signal * other))
    cosine = dot / lengths if lengths else float(noise == 0.0)
    top1 = same / rows if same >= 0 else None
    return Fidelity(name, decibels(signal, noise), cosine, top1, int(rows))
