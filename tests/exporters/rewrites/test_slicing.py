"""Slices with bounds outside of a dynamic size: clipped in the graph as PyTorch clips them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from exporters.own import Own
from exporters.rewrites.slicing import split
from tests.exporters.holding import holds
from toolkit import source


class Slices(nn.Module):
    """All kinds at once: one export for all of them."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {
            "last": x[:, -8:],
            "first": x[:, :8],
            "but_last": x[:, :-8],
            "between": x[:, 4:8],
            "ends": x[..., -8:-4],
            "behind": x[:, None, ..., -5:],
            "third": torch.cat([x, -x, x * 2], 1).chunk(3, dim=1)[1],
        }


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    path = tmp_path_factory.mktemp("slicing") / "m.onnx"
    made = Slices().eval(), "x: float32[n, t]; where n = 1..4, t = 1..20"
    Own().export(source.load(made), path, opset=20)
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 9, 20])
def test_they_are_what_pytorch_gives_at_every_size(
    session: ort.InferenceSession, size: int
) -> None:
    x = np.arange(2.0 * size, dtype=np.float32).reshape(2, size)
    expected = Slices()(torch.from_numpy(x))
    found = dict(zip(expected, session.run(list(expected), {"x": x}), strict=True))
    assert {n: a.tolist() for n, a in found.items()} == {n: t.tolist() for n, t in expected.items()}


@pytest.mark.parametrize(
    "index",
    [
        3,
        slice(-8, None),
        (slice(None), slice(0, 100)),
        (..., slice(-2, 50)),
        (None, torch.tensor([True, False]), slice(-9, 9)),
        torch.tensor([0, 1]),
    ],
    ids=repr,
)
def test_what_has_a_fixed_size_is_left_as_it_is(index: Any) -> None:
    assert split(index, (2, 5))[0] == []


class Filled(nn.Module):
    """Written into through a slice, through a part of one, and under a name of its own."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, : x.shape[1] // 2].fill_(0)
        y[:, -3:].mul_(2)
        part = y[:, : x.shape[1] // 3, 0]
        part += 1
        return y


def test_what_is_written_into_a_slice_is_written_where_it_was_cut_from(tmp_path: Path) -> None:
    text = "x: float32[batch, n, 8]; where batch = 1..3, n = 2..24"
    assert holds(Filled, text, tmp_path / "m.onnx")
