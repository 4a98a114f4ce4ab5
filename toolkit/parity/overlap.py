"""Shapes that overlap: boxes and masks, matched by intersection over union (IoU)."""

from __future__ import annotations

import numpy as np

from toolkit.parity.metrics import below

STRICTEST = 0.95
"""Overlap of which two shapes are the same: the last of the ten thresholds that COCO averages over
(Lin and others, Microsoft COCO, 2014; its evaluation uses 0.50, 0.55 ... 0.95)."""


class Boxes:
    """Rectangles [..., n, 4], matched one to one by overlap, each with the best that is left."""

    def __init__(self) -> None:
        self._overlaps: list[np.ndarray] = []

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        lists = truth.reshape(-1, truth.shape[-2], 4), got.reshape(-1, got.shape[-2], 4)
        for right, found in zip(*lists, strict=True):
            corners = _are_corners(right)
            self._overlaps.append(_matched(_corners(right, corners), _corners(found, corners)))

    def told(self) -> tuple[str, bool]:
        found = np.concatenate(self._overlaps)
        lost = int((found < STRICTEST).sum())
        text = f"IoU at least {below(float(found.min()))}, mean {below(float(found.mean()))}"
        over = f"over {len(found):,} boxes"
        return f"{text} {over}" + (f", {lost} below {STRICTEST}" if lost else ""), lost > 0


class Masks:
    """Pixels [..., height, width]: in where a logit is above 0 or a probability above 0.5."""

    def __init__(self) -> None:
        self._overlaps: list[np.ndarray] = []
        self._pixels = self._flips = 0

    def add(self, truth: np.ndarray, plain: np.ndarray, got: np.ndarray) -> None:
        floating = plain.dtype.kind == "f"
        edge = 0.5 if not floating or (truth.min() >= 0 and truth.max() <= 1) else 0.0
        right, found = (a > edge for a in (truth, got))
        union = (right | found).sum((-2, -1))
        both = (right & found).sum((-2, -1))
        self._overlaps.append(np.where(union > 0, both / np.maximum(union, 1), 1.0).ravel())
        self._pixels += right.size
        self._flips += int((right != found).sum())

    def told(self) -> tuple[str, bool]:
        found = np.concatenate(self._overlaps)
        text = f"mIoU {below(float(found.mean()))}, least {below(float(found.min()))}"
        flips = f"{self._flips:,} of {self._pixels:,} pixels change sides"
        return f"{text}, {flips}", bool(found.min() < STRICTEST)


def _are_corners(boxes: np.ndarray) -> bool:
    """x1 y1 x2 y2, and not cx cy w h: the second corner is never before the first."""
    return bool((boxes[:, 2:] >= boxes[:, :2]).all())


def _corners(boxes: np.ndarray, corners: bool) -> np.ndarray:
    wide = boxes.astype(np.float64)
    if corners:
        return wide
    return np.concatenate([wide[:, :2] - wide[:, 2:] / 2, wide[:, :2] + wide[:, 2:] / 2], -1)


def _matched(right: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The overlap (intersection over union) of each box with the best that is not yet taken."""
    low = np.maximum(right[:, None, :2], found[None, :, :2])
    high = np.minimum(right[:, None, 2:], found[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), -1)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0.0), -1) for b in (right, found)]
    union = areas[0][:, None] + areas[1][None] - both
    equal = (right[:, None] == found[None]).all(-1)  # also where they have no area
    overlaps = np.where(equal, 1.0, both / np.where(union > 0, union, 1.0))
    best = np.zeros(len(right))
    for row in np.argsort(-overlaps.max(-1, initial=0.0), kind="stable"):
        column = int(overlaps[row].argmax())
        best[row] = overlaps[row, column]
        overlaps[:, column] = -1.0
    return best
