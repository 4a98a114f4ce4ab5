"""Several subjects, each checked beside each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from toolkit.parity.matrix import Matrix
from toolkit.pipeline.check import check
from toolkit.pipeline.subjects import is_file
from toolkit.progress import SILENT, Listener


def check_all(
    subjects: Sequence[Any], *, budget: float = 30.0, listener: Listener = SILENT, **options: Any
) -> Matrix:
    """Check each pair of subjects, each in its share of `budget`; `options` are those of `check`.

    PyTorch is the original of a file, and what was named first of two alike.
    """
    pairs = list(combinations(range(len(subjects)), 2))
    reports = {}
    for first, second in pairs:
        source = not is_file(subjects[second]) and is_file(subjects[first])
        original, candidate = (second, first) if source else (first, second)
        listener.stage(f"check {subjects[candidate]}")
        report = check(
            subjects[candidate],
            against=subjects[original],
            budget=budget / len(pairs),
            listener=listener,
            **options,
        )
        reports[candidate, original] = report
    return Matrix(tuple(map(_name, subjects)), reports)


def _name(subject: Any) -> str:
    return subject if isinstance(subject, str) else getattr(subject, "name", type(subject).__name__)
