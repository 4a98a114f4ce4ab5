"""Vision towers that take the patches of all pictures as one row (Qwen2-VL, Qwen2.5-VL, GLM-4V).

They find by loops over the pictures' sizes which patches belong together. In a graph all pictures
have one size, so all of that is constant but for the number of pictures: it is computed once, by
transformers' own functions, and attention is a batch of pictures in place of a loop over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from exporters.huggingface.graph import alike, parameters, results
from exporters.rewrites.control.same_rows import noted
from toolkit.domain import Interval
from toolkit.sequence import FEATURES
from toolkit.signature import Dim, Signature, TensorSpec
from toolkit.structure import flatten

_ATTENTION = "onnxport_flash"
"""To be given how long a picture is, a name must have `flash` in it (transformers 5.23)."""


class PatchTower(nn.Module):
    """Pictures [batch, channels, height, width] to what a tower makes of them, a row a picture."""

    _grid: Tensor
    _ends: Tensor
    _order: Tensor | None
    _windows: Tensor | None

    def __init__(self, tower: Any, height: int, width: int) -> None:
        """Raises ArithmeticError, AttributeError, TypeError or ValueError where it is no such
        tower."""
        from transformers import AttentionInterface, vision_utils

        super().__init__()
        AttentionInterface.register(_ATTENTION, _within_pictures)
        self.tower = tower
        config = tower.config
        self._patch, self._merge = int(config.patch_size), int(config.spatial_merge_size)
        self._frames = int(getattr(config, "temporal_patch_size", 1))
        rows, columns = height // self._patch, width // self._patch
        self.grid = (rows // self._merge, columns // self._merge)
        """Features of a picture, in rows and columns."""
        self._count = rows * columns
        grid = torch.tensor([[1, rows, columns]])
        self._row = (1, rows, columns)
        each = {"position_ids": vision_utils.get_vision_position_ids(grid, self._merge)}
        if hasattr(tower, "interpolation_mode"):
            taps = vision_utils.get_vision_interpolation_indices_and_weights(
                grid,
                num_grid_per_side=tower.num_grid_per_side,
                mode=tower.interpolation_mode,
                align_corners=tower.interpolation_align_corners,
                spatial_merge_size=self._merge,
            )
            each |= dict(zip(("interp_indices", "interp_weights"), taps, strict=True))
        self._each = tuple(each)
        """What is the same for each picture, by the name that the tower has for it."""
        order = ends = None
        if hasattr(tower, "window_size"):
            order, ends = vision_utils.get_vision_window_index(
                grid, self._merge, tower.window_size, self._patch
            )
        own = {"_grid": grid, "_ends": torch.tensor([0, self._count])}
        for name, tensor in (own | each | {"_order": order, "_windows": ends}).items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, pictures: Tensor) -> dict[str, Any]:
        tower: Any = self.tower
        number = pictures.shape[0]
        known: dict[str, Any] = {n: self.get_buffer(n).repeat(number, 1) for n in self._each}
        known |= {"cu_seqlens": self._ends, "max_seqlen": self._count}
        if self._order is not None:
            starts = torch.arange(number, device=pictures.device) * len(self._order)
            known["window_index"] = (starts[:, None] + self._order).flatten()
            known |= {"cu_window_seqlens": self._windows, "max_window_seqlen": self._count}
        with _picture_by_picture(tower):
            found = results(tower(self.patches(pictures), grid_thw=self.grids(number), **known))

        def by_picture(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.reshape(number, -1, value.shape[-1])
            return tuple(map(by_picture, value))

        return {name: by_picture(value) for name, value in found.items()}

    def grids(self, number: int) -> Tensor:
        """Frames, rows and columns of each picture's patches [number, 3]."""
        return noted(self._grid.repeat(number, 1), self._row)

    def patches(self, pictures: Tensor) -> Tensor:
        """What the processors of these models make of a picture: blocks of patches that are merged
        later stand together, and a still picture is as many frames as one patch spans."""
        number, channels, height, width = pictures.shape
        patch, merge = self._patch, self._merge
        blocks = (height // patch // merge, merge, patch, width // patch // merge, merge, patch)
        order = (0, 2, 5, 3, 6, 1, 4, 7)
        found = pictures.reshape(number, channels, *blocks).permute(order).unsqueeze(6)
        found = found.expand(-1, -1, -1, -1, -1, -1, self._frames, -1, -1)
        return found.reshape(number * self._count, channels * self._frames * patch * patch)


def patch_tower(tower: Any, largest: int) -> tuple[PatchTower, TensorSpec] | None:
    """A tower with pictures of the largest side up to that, as its config says none; None where it
    is no such tower."""
    try:
        config = tower.config
        step = config.patch_size * config.spatial_merge_size
        side = max(largest // step, 2) * step
        made = PatchTower(tower, side, side)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None
    channels = int(getattr(config, "in_channels", 0) or getattr(config, "in_chans", 3))
    shape = ("batch", channels, side, side)
    return made, TensorSpec("pixel_values", "float32", shape, Interval(-3.0, 3.0))


def alone(model: nn.Module, largest: int, batch: int) -> tuple[PatchTower, Signature] | None:
    """A tower that is a model of its own, where it says here what it says itself; else None."""
    if "grid_thw" not in parameters(model) or not (found := patch_tower(model, largest)):
        return None
    tower, spec = found
    pictures = torch.randn(2, *map(int, spec.shape[1:]), generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            ours = [t for _, t in flatten(tower(pictures))]
            own = results(model(tower.patches(pictures), grid_thw=tower.grids(2)))
            theirs = [t for _, t in flatten(own)]
    except Exception:  # what a model says to inputs that are not its own has no common type
        return None
    pairs = zip(ours, theirs, strict=False)
    if len(ours) != len(theirs) or not all(alike(a.flatten(), b.flatten()) for a, b in pairs):
        return None
    return tower, Signature((spec,), (Dim("batch", Interval(1, batch)),))


class GridEncoder(nn.Module):
    """Pictures [batch, images, channels, height, width] to `features` [batch, length, width]: where
    a tower has features for several layers of the decoder (DeepStack), they are side by side."""

    def __init__(self, tower: PatchTower) -> None:
        super().__init__()
        self.tower = tower
        self.grid = tower.grid

    def forward(self, media: Tensor) -> dict[str, Tensor]:
        found = self.tower(media.flatten(0, 1))
        deeper = found.get("deepstack_features", ())
        features = torch.cat((found["pooler_output"], *deeper), dim=-1)
        return {FEATURES: features.reshape(media.shape[0], -1, features.shape[-1])}

    def given(self, media: Tensor) -> dict[str, Tensor]:
        """As the model itself takes them."""
        pictures = media.flatten(0, 1)
        return {
            "pixel_values": self.tower.patches(pictures),
            "image_grid_thw": self.tower.grids(len(pictures)),
        }


class Places:
    """Positions of words and of the features of pictures, which stand in rows and columns."""

    def __init__(self, rows: int, columns: int) -> None:
        self._columns, self._count, self._side = columns, rows * columns, max(rows, columns)

    def __call__(self, mask: Tensor, placed: Tensor) -> Tensor:
        """Of each token [3, batch, length]: in time, rows and columns (M-RoPE of Qwen2-VL). `mask`
        is 0 where a row is padded, `placed` is 1 where a feature stands.

        A word comes after all words before it and the longer side of each picture; a feature stands
        at its row and column after these.
        """
        words = (mask - placed).cumsum(1)
        seen = (placed.cumsum(1) - placed).clamp(min=0)
        start = words - (mask - placed) + seen // self._count * self._side
        at = seen % self._count * placed
        row, column = at // self._columns, at % self._columns
        return torch.stack((start, start + row, start + column))


def _within_pictures(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of [1, heads, pictures * length, width], within each picture and, where
    `cu_seq_lens_q` has more than both ends of one, within its windows."""

    def apart(packed: Tensor) -> Tensor:
        found: Tensor = packed[0].unflatten(1, (-1, max_length_q)).transpose(0, 1)
        return found

    scores = apart(query) @ apart(key).transpose(-1, -2) * scaling
    if cu_seq_lens_q.shape[0] > 2:
        patches = torch.arange(max_length_q, device=query.device)
        window = (patches[:, None] >= cu_seq_lens_q[None, 1:]).sum(1)
        scores = scores.masked_fill(window[:, None] != window[None], float("-inf"))
    found = scores.softmax(-1) @ apart(value)
    return found.transpose(1, 2).flatten(0, 1).unsqueeze(0), None


@contextmanager
def _picture_by_picture(tower: Any) -> Iterator[None]:
    own = tower.config._attn_implementation_internal
    tower.config._attn_implementation_internal = _ATTENTION
    try:
        yield
    finally:
        tower.config._attn_implementation_internal = own
