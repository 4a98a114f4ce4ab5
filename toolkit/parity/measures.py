"""How far each output is off over all cases of a check, in every usual measure; case by case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.parity import metrics
from toolkit.parity.reference import Expectation
from toolkit.parity.results import CaseResult, Measures

TOP = 5
"""The k of top-k agreement: as in ImageNet's top-5."""


@dataclass
class _Sums:
    signal: float = 0.0
    noise: float = 0.0
    dot: float = 0.0
    other: float = 0.0
    rows: int = 0
    first: float = 0.0
    several: float = 0.0


class Measuring:
    """Adds up what `Measures` needs, in constant memory, against the float64 of the original."""

    def __init__(self) -> None:
        self._found: dict[str, Measures] = {}
        self._sums: dict[str, _Sums] = {}

    def add(self, result: CaseResult, expected: Expectation, got: Mapping[str, np.ndarray]) -> None:
        """Take in one case, at the positions that are finite on both sides."""
        ratios = {j.output: j.ratio for j in result.judgements}
        for name, plain in expected.plain.items():
            found = got.get(name)
            if found is None or found.shape != plain.shape or found.dtype != plain.dtype:
                continue
            kind = DTYPES[str(plain.dtype)].kind
            if kind == "f" and plain.size and name in ratios:
                self._add(name, str(result.case), ratios[name], plain, expected.truth[name], found)

    def _add(
        self,
        name: str,
        case: str,
        ratio: float,
        plain: np.ndarray,
        truth: np.ndarray,
        found: np.ndarray,
    ) -> None:
        wide = found.astype(np.float64)
        finite = np.isfinite(truth) & np.isfinite(wide)
        r, c = np.where(finite, truth, 0.0), np.where(finite, wide, 0.0)
        before, sums = self._found.get(name), self._sums.setdefault(name, _Sums())
        with np.errstate(over="ignore"):
            sums.signal += float((r * r).sum())
            sums.noise += float(((r - c) ** 2).sum())
            sums.dot += float((r * c).sum())
            sums.other += float((c * c).sum())
        top1 = topk = kl = None
        if r.ndim > 1 and r.shape[-1] > 1:
            rows = r.size // r.shape[-1]
            sums.rows += rows
            sums.first += rows * metrics.top_k_agreement(r, c, 1)
            top1 = sums.first / sums.rows
            if r.shape[-1] > TOP:
                sums.several += rows * metrics.top_k_agreement(r, c, TOP)
                topk = sums.several / sums.rows
            p, q = metrics.as_probabilities(plain), metrics.as_probabilities(found)
            if p is not None and q is not None:
                kl = max(metrics.kl_divergence(p, q), before.kl or 0.0 if before else 0.0)
        leads = before is None or ratio > before.ratio
        self._found[name] = Measures(
            name,
            max(ratio, before.ratio if before else 0.0),
            max(metrics.max_ulps(r, c, str(plain.dtype)), before.ulps if before else 0.0),
            max(metrics.max_abs_error(r, c), before.max_abs if before else 0.0),
            max(metrics.max_rel_error(r, c), before.max_rel if before else 0.0),
            metrics.decibels(sums.signal, sums.noise),
            _cosine(sums),
            top1,
            topk,
            kl,
            case if leads or before is None else before.worst_case,
            metrics.worst_index(r, c) if leads or before is None else before.worst_index,
        )

    def result(self) -> tuple[Measures, ...]:
        return tuple(self._found.values())


def _cosine(sums: _Sums) -> float:
    lengths = float(np.sqrt(sums.signal) * np.sqrt(sums.other))
    return sums.dot / lengths if lengths else float(sums.noise == 0.0)
