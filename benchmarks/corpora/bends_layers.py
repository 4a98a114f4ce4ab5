"""Layers of well-known models as their authors write them: windows, graphs, flows, styles, matches.

Each was refused, or a right file was called wrong, when it was first tried.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pad_sequence

from benchmarks.corpora.bending import Bends

ROWS = "x: float32[batch, n, 4] in -2..2; where batch = 1..3, n = 6..16"
bend = Bends("layers")


@bend("x: float32[batch, h, w, 8] in -2..2; where batch = 1..3, h = 5..12, w = 5..12")
class ShiftedWindows(nn.Module):
    """Swin's block: padded to windows, rolled, masked by region, and the batch by a quotient."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.size, self.shift = nn.Linear(8, 24), 4, 2

    def _windows(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        size = self.size
        x = x.view(batch, height // size, size, width // size, size, channels)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, size * size, channels)

    def _mask(self, height: int, width: int) -> Tensor:
        regions, count = torch.zeros((1, height, width, 1)), 0
        cuts = (
            slice(0, -self.size),
            slice(-self.size, -self.shift),
            slice(-self.shift, None),
        )
        for rows in cuts:
            for columns in cuts:
                regions[:, rows, columns, :] = count
                count += 1
        found = self._windows(regions).squeeze(-1)
        mask = found.unsqueeze(1) - found.unsqueeze(2)
        return mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, channels = x.shape
        size = self.size
        right, below = (size - width % size) % size, (size - height % size) % size
        x = F.pad(x, (0, 0, 0, right, 0, below))
        _, tall, wide, _ = x.shape
        shifted = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        mask = self._mask(tall, wide)
        q, k, v = self.qkv(self._windows(shifted)).chunk(3, -1)
        scores = q @ k.transpose(-1, -2) / channels**0.5
        count = mask.shape[0]
        scores = scores.view(-1, count, size * size, size * size) + mask.unsqueeze(0)
        seen = scores.view(-1, size * size, size * size).softmax(-1) @ v
        batch = int(seen.shape[0] / (tall * wide / size / size))
        seen = seen.view(batch, tall // size, wide // size, size, size, -1)
        seen = seen.permute(0, 1, 3, 2, 4, 5).contiguous().view(batch, tall, wide, -1)
        seen = torch.roll(seen, shifts=(self.shift, self.shift), dims=(1, 2))
        if right > 0 or below > 0:
            seen = seen[:, :height, :width, :].contiguous()
        return seen


@bend("places: float32[atoms, 3] in -2..2; where atoms = 2..9")
class EdgesWithinReach(nn.Module):
    """SchNet's filters over the pairs that are near, of which there may be none."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.filters = nn.Parameter(torch.randn(1, 8)), nn.Linear(10, 8)

    def forward(self, places: Tensor) -> Tensor:
        count = len(places)
        near = (torch.cdist(places, places) < 2.0) & ~torch.eye(count, dtype=torch.bool)
        here, there = torch.nonzero(near, as_tuple=True)
        far = (places[here] - places[there]).norm(dim=-1)
        smeared = torch.exp(-10 * (far[:, None] - torch.linspace(0, 2, 10)) ** 2)
        x = self.start.expand(count, -1)
        sent = x[there] * self.filters(smeared) * (torch.cos(far * math.pi / 2) + 1)[:, None]
        return x + torch.zeros_like(x).scatter_add(0, here[:, None].expand_as(sent), sent)


@bend("x: float32[n, 4] in -4..4; where n = 1..9")
class SplineFlow(nn.Module):
    """A rational quadratic spline within bounds, the identity outside: written by masks."""

    def __init__(self) -> None:
        super().__init__()
        self.widths, self.heights = (nn.Parameter(torch.randn(4, 5)) for _ in range(2))
        self.slopes, self.bound = nn.Parameter(torch.randn(4, 4)), 3.0

    def _knots(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        parts = 1e-3 + (1 - 5e-3) * parts.softmax(-1)
        knots = F.pad(torch.cumsum(parts, -1), (1, 0)) * 2 * self.bound - self.bound
        knots[..., 0], knots[..., -1] = -self.bound, self.bound
        return knots, knots[..., 1:] - knots[..., :-1]

    def _spline(self, x: Tensor, w: Tensor, h: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        (across, widths), (up, heights) = self._knots(w), self._knots(h)
        slopes = 1e-3 + F.softplus(slopes)
        place = (torch.sum(x[..., None] >= across[..., :-1], -1) - 1)[..., None]

        def at(values: Tensor) -> Tensor:
            return values.gather(-1, place)[..., 0]

        steep, before, after = at(heights / widths), at(slopes), at(slopes[..., 1:])
        t = (x - at(across)) / at(widths)
        bent = t * (1 - t)
        below = steep + (before + after - 2 * steep) * bent
        found = at(up) + at(heights) * (steep * t**2 + before * bent) / below
        rate = steep**2 * (after * t**2 + 2 * steep * bent + before * (1 - t) ** 2)
        return found, torch.log(rate) - 2 * torch.log(below)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inside = (x >= -self.bound) & (x <= self.bound)
        out, rates = torch.zeros_like(x), torch.zeros_like(x)
        w, h = (p[None].expand(len(x), -1, -1) for p in (self.widths, self.heights))
        slopes = F.pad(self.slopes[None].expand(len(x), -1, -1), (1, 1))
        slopes[..., 0] = slopes[..., -1] = math.log(math.exp(1 - 1e-3) - 1)
        out[~inside], rates[~inside] = x[~inside], 0.0
        out[inside], rates[inside] = self._spline(x[inside], w[inside], h[inside], slopes[inside])
        return out, rates.sum(-1)


@bend("x: float32[batch, 3] in -2..2; times: float32[k] in 0..1; where batch = 1..3, k = 2..8")
class SolvesAnEquation(nn.Module):
    """Runge and Kutta's method over the times that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def _slope(self, at: Tensor, x: Tensor) -> Tensor:
        found: Tensor = self.net(torch.cat([x, at.expand(x.shape[0], 1)], -1))
        return found

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        found = [x]
        for before, after in zip(times[:-1], times[1:], strict=True):  # noqa: RUF007 (as it is written)
            step = after - before
            k1 = self._slope(before, x)
            k2 = self._slope(before + step / 2, x + step * k1 / 2)
            k3 = self._slope(before + step / 2, x + step * k2 / 2)
            k4 = self._slope(after, x + step * k3)
            x = x + step * (k1 + 2 * k2 + 2 * k3 + k4) / 6
            found.append(x)
        return torch.stack(found)


@bend(ROWS)
class EvenAndOdd(nn.Module):
    """SCINet's halves of a series, of which one may be longer."""

    def forward(self, x: Tensor) -> Tensor:
        even, odd = x[:, ::2], x[:, 1::2]
        if even.shape[1] != odd.shape[1]:
            odd = torch.cat([odd, even[:, -1:]], dim=1)
        woven = torch.stack([even * 2, odd * 3], 2).flatten(1, 2)
        return woven[:, : x.shape[1]]


@bend(ROWS)
class Retention(nn.Module):
    """RetNet's decay over a distance, and its norm within bounds of two kinds."""

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1])
        seen = torch.tril(torch.ones(len(places), len(places)))
        far = (places[:, None] - places[None, :]).float().masked_fill(~seen.bool(), math.inf)
        decay = torch.nan_to_num(torch.exp(far * math.log(1 - 2**-5)))
        scores = (x @ x.transpose(-1, -2)) * decay / decay.sum(-1, keepdim=True).sqrt()
        return scores / scores.abs().sum(-1, keepdim=True).clamp(min=1, max=5e4) @ x


@bend(
    "x: float32[nodes, 4] in -2..2; edges: int64[2, count] in 0..4; "
    "where nodes = 5..9, count = 1..12"
)
class GraphAttention(nn.Module):
    """A softmax over the edges of each node, and how many each has."""

    def __init__(self) -> None:
        super().__init__()
        self.values, self.scores = nn.Linear(4, 8), nn.Linear(16, 1)

    def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        h, (source, target) = self.values(x), edges
        scores = self.scores(torch.cat([h[source], h[target]], -1)).squeeze(-1)
        most = torch.full((x.size(0),), -math.inf).scatter_reduce(0, target, scores, "amax")
        shares = torch.exp(scores - most[target])
        total = torch.zeros(x.size(0)).index_add_(0, target, shares)
        sent = (shares / (total[target] + 1e-16))[:, None] * h[source]
        degrees = torch.bincount(target, minlength=x.size(0))
        return torch.zeros_like(h).index_add_(0, target, sent), degrees


@bend(
    "x: float32[batch, 3, h, w] in -2..2; style: float32[batch, 4] in -2..2; "
    "where batch = 1..4, h = 5..12, w = 5..12"
)
class Modulated(nn.Module):
    """StyleGAN 2's convolution: the rows of a batch are groups, each with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.style = nn.Parameter(torch.randn(1, 6, 3, 3, 3)), nn.Linear(4, 3)

    def weights(self, style: Tensor) -> Tensor:
        """[batch, 6, 3, 3, 3]"""
        weight = self.weight * self.style(style).view(len(style), 1, 3, 1, 1)
        size = weight.square().sum((2, 3, 4), keepdim=True)
        found: Tensor = weight * torch.rsqrt(size + 1e-8)
        return found

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        weight = self.weights(style).view(batch * 6, channels, 3, 3)
        rows = x.reshape(1, batch * channels, height, width)
        out = F.conv2d(rows, weight, padding=1, groups=batch)
        return out.view(batch, 6, *out.shape[2:])


@bend("x: float32[batch, 4, n] in -2..2; where batch = 1..3, n = 4..12")
class NearestNeighbours(nn.Module):
    """DGCNN's features of edges: which of two equally near is the fourth is left open."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, count = x.shape
        squares = torch.sum(x**2, dim=1, keepdim=True)
        near = 2 * torch.matmul(x.transpose(2, 1), x) - squares - squares.transpose(2, 1)
        places = near.topk(k=4, dim=-1)[1] + torch.arange(batch).view(-1, 1, 1) * count
        points = x.transpose(2, 1).contiguous()
        found = points.view(batch * count, -1)[places.view(-1)].view(batch, count, 4, channels)
        here = points.view(batch, count, 1, channels).repeat(1, 1, 4, 1)
        edges = torch.cat((found - here, here), dim=3).permute(0, 3, 1, 2)
        best: Any = edges.max(dim=-1)
        values: Tensor = best.values
        return values


@bend("scores: float32[batch, n, 5] in -3..3; where batch = 1..3, n = 1..8")
class BestPath(nn.Module):
    """Viterbi: where each tag came from, and the way back to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.randn(5, 5))

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        total, origins = scores[:, 0], []
        for t in range(1, scores.size(1)):
            best, origin = (total.unsqueeze(2) + self.steps).max(1)
            origins.append(origin)
            total = best + scores[:, t]
        score, tag = total.max(1)
        path = [tag]
        for origin in reversed(origins):
            tag = origin.gather(1, tag.unsqueeze(1)).squeeze(1)
            path.insert(0, tag)
        return score, torch.stack(path, 1)


@bend("x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 9..40, w = 9..40")
class PriorBoxes(nn.Module):
    """SSD's boxes: a list of numbers, four by four, over the places of a feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.places = nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        moved = self.places(features).permute(0, 2, 3, 1).reshape(len(x), -1, 4)
        boxes: list[float] = []
        for i, j in product(range(features.shape[2]), range(features.shape[3])):
            across, down = (j + 0.5) / features.shape[3], (i + 0.5) / features.shape[2]
            boxes += [across, down, 0.2, 0.2]
            boxes += [across, down, 0.4, 0.4]
        prior = torch.Tensor(boxes).view(-1, 4)
        centre = prior[:, :2] + moved[..., :2] * 0.1 * prior[:, 2:]
        return torch.cat([centre, prior[:, 2:] * torch.exp(moved[..., 2:] * 0.2)], -1)


@bend("x: float32[batch, n, 6] in -2..2; where batch = 1..3, n = 1..10")
class MergesTokens(nn.Module):
    """ToMe: every other token, the most alike first, is added to its nearest of the rest."""

    def forward(self, x: Tensor) -> Tensor:
        alike = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        if x.shape[1] < 2:
            return x
        scores = alike[:, ::2] @ alike[:, 1::2].transpose(-1, -2)
        count = min(2, scores.shape[2])
        best, place = scores.max(-1)
        order = best.argsort(-1, descending=True)[..., None]
        left, merged = order[..., count:, :], order[..., :count, :]
        into = place[..., None].gather(-2, merged)
        (batch, length, width), even = x[:, ::2].shape, x[:, ::2]
        kept = even.gather(-2, left.expand(batch, length - count, width))
        added = even.gather(-2, merged.expand(batch, count, width))
        places = into.expand(batch, count, width)
        return torch.cat([kept, x[:, 1::2].scatter_reduce(-2, places, added, "mean")], 1)


@bend("boxes: float32[n, 4] in 0..9; scores: float32[n] in 0..1; where n = 1..9")
class SuppressesByHand(nn.Module):
    """Non-maximum suppression as it is written without torchvision: boxes (x, y, width, height)."""

    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        left, top = boxes[:, 0], boxes[:, 1]
        right, bottom = left + boxes[:, 2], top + boxes[:, 3]
        areas = (right - left) * (bottom - top)
        order = scores.argsort(descending=True)
        keep = torch.ones(len(boxes), dtype=torch.bool)
        for i in range(len(boxes)):
            best = order[i]
            if not keep[best]:
                continue
            rest = order[i + 1 :]
            wide = (torch.min(right[best], right[rest]) - torch.max(left[best], left[rest])).clamp(
                0
            )
            high = (torch.min(bottom[best], bottom[rest]) - torch.max(top[best], top[rest])).clamp(
                0
            )
            shared = wide * high
            keep[rest[shared / (areas[best] + areas[rest] - shared + 1e-6) > 0.5]] = False
        return boxes[keep]


@bend("memory: float32[batch, t, 8] in -2..2; where batch = 1..3, t = 2..8")
class WritesFrames(nn.Module):
    """Tacotron's decoder: frames in a list, until all of a batch are done."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.query = nn.LSTMCell(4 + 8, 8), nn.Linear(8, 8)
        self.place = nn.Conv1d(1, 8, 3, padding=1)
        self.energy, self.frame, self.gate = nn.Linear(8, 1), nn.Linear(16, 4), nn.Linear(16, 1)

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, _ = memory.shape
        hidden = state = context = memory.new_zeros(batch, 8)
        weights, frame = memory.new_zeros(batch, length), memory.new_zeros(batch, 4)
        frames, looked_at = [], []
        for _ in range(12):
            hidden, state = self.cell(torch.cat([frame, context], -1), (hidden, state))
            places = self.place(weights[:, None]).transpose(1, 2)
            energies = self.energy(torch.tanh(self.query(hidden)[:, None] + places + memory))
            weights = torch.softmax(energies.squeeze(-1), 1)
            context = (weights[:, None] @ memory).squeeze(1)
            found = torch.cat([hidden, context], -1)
            frame = self.frame(found)
            frames.append(frame)
            looked_at += [weights]
            if torch.sigmoid(self.gate(found)).min() > 0.5:
                break
        return torch.stack(frames, 1), torch.stack(looked_at, 1)


@bend("x: float32[batch, t, 4]; counts: int64[batch, t] in 0..4; where batch = 1..3, t = 1..6")
class RegulatesLength(nn.Module):
    """FastSpeech 2: each position as often as was predicted, the rows padded to the longest."""

    def forward(self, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        rows, lengths = [], []
        for row, often in zip(x, counts, strict=True):
            expanded = self._expanded(row, often)
            rows.append(expanded)
            lengths.append(expanded.shape[0])
        return pad_sequence(rows, batch_first=True), torch.tensor(lengths)

    def _expanded(self, row: Tensor, often: Tensor) -> Tensor:
        parts = []
        for i, vector in enumerate(row):
            parts.append(vector.expand(max(int(often[i].item()), 0), -1))
        return torch.cat(parts, 0)
