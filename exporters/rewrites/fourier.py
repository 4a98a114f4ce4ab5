"""`irfft` to a length that is not known: the long convolutions of state spaces (S4, Hyena).

ONNX takes the length of a one-sided inverse DFT for that of its input, and ONNX Runtime 1.31, which
believes it, fails at run time for every size. Of the whole spectrum the two lengths are the same.

And `istft`, which torch.export traces for one number of frames, and of which torchlib writes what
does not load: frames are cut into hops, moved to their places and added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing
from exporters.rewrites.control.sizes import compared
from exporters.rewrites.slicing import Cut, sliced
from toolkit.errors import ExportRefused

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


def _istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Any = None,
    return_complex: bool = False,
) -> Tensor:
    """`torch.istft` of spectra [..., frequencies, frames]: [..., samples]."""
    if return_complex or onesided is False:
        raise ExportRefused("istft of a signal that is complex", "take the real part's spectrum")
    hop, width = hop_length or n_fft // 4, win_length or n_fft
    shape = torch.ones(width, device=x.device) if window is None else window
    before = (n_fft - width) // 2
    shape = F.pad(shape, (before, n_fft - width - before))
    frames = torch.fft.irfft(x.mT, n=n_fft, norm="ortho" if normalized else "backward")
    signal = _added(frames * shape, hop)
    envelope = _added(shape.square().expand(x.shape[-1], n_fft), hop)
    total = n_fft + hop * (x.shape[-1] - 1)
    start = n_fft // 2 if center else 0
    count = total - 2 * start if length is None else length
    if compared("<=", start + count, total) is not True:
        # Past the last frame there is nothing, of which PyTorch makes zeros.
        more = torch.sym_max(start + count - total, 0)
        signal, envelope = F.pad(signal, (0, more)), F.pad(envelope, (0, more), value=1.0)
    return _part(signal, start, count) / _part(envelope, start, count)


def _added(frames: Tensor, hop: int) -> Tensor:
    """Frames [..., frames, width], each `hop` after the one before, as one signal."""
    count, width = frames.shape[-2:]
    parts = -(-width // hop)
    pieces = F.pad(frames, (0, parts * hop - width)).unflatten(-1, (parts, hop)).unbind(-2)
    moved = [F.pad(piece, (0, 0, n, parts - 1 - n)) for n, piece in enumerate(pieces)]
    whole = torch.stack(moved).sum(0).flatten(-2)
    return _part(whole, 0, width + hop * (count - 1))


def _part(x: Tensor, start: int, count: Any) -> Tensor:
    """`count` of the last axis, which are there."""
    return sliced(x, [Cut(x.dim() - 1, start, start + count)], [*x.shape[:-1], count])


FAMILY = Family(
    "fourier",
    tracing=lambda _: replacing({torch.istft: _istft, Tensor.istft: _istft}),
    decompositions={_ATEN._fft_c2r.default: _c2r},
)
