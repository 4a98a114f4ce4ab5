"""The operators of (b) once more, on whole numbers and truth values: one sample of each.

Masks, lengths and places are computed in these, of which ONNX Runtime has fewer kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.corpora.cases import Case
from benchmarks.corpora.operators import of_dtype


def cases() -> Iterator[Case]:
    for dtype in (torch.int64, torch.bool):
        yield from of_dtype(dtype, 1, f"{str(dtype).removeprefix('torch.')}.")
