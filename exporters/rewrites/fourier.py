"""`irfft` to a length that is not known: the long convolutions of state spaces (S4, Hyena).

ONNX takes the length of a one-sided inverse DFT for that of its input, and ONNX Runtime 1.31, which
believes it, fails at run time for every size. Of the whole spectrum the two lengths are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family

_ATEN = torch.ops.aten


def _c2r(x: Tensor, dim: Sequence[int], normalization: int, size: Any) -> Any:
    """Spectra whose halves mirror each other, [..., size // 2 + 1], as reals, [..., size]."""
    if isinstance(size, int):
        return NotImplemented
    *others, last = dim
    if others:
        x = _ATEN._fft_c2c(x, others, normalization, False)
    halves = torch.view_as_real(x).movedim(last, -1)  # pairs: of complex ones ONNX knows no size
    mirrored = halves[..., 1 : size - size // 2].flip(-1)
    whole = torch.stack(
        [
            torch.cat([part, sign * other], -1)
            for part, other, sign in zip(
                halves.unbind(-2), mirrored.unbind(-2), (1, -1), strict=True
            )
        ],
        -1,
    )
    spectrum = torch.view_as_complex(whole)
    found: Tensor = _ATEN._fft_c2c(spectrum, [spectrum.dim() - 1], normalization, False)
    return torch.view_as_real(found).select(-1, 0).movedim(-1, last)


FAMILY = Family("fourier", decompositions={_ATEN._fft_c2r.default: _c2r})
