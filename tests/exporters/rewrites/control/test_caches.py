"""Dicts of modules whose keys are sizes, which have no number while the model is traced."""

from pathlib import Path

import torch
from torch import Tensor, nn

from exporters.rewrites.control import caches
from tests.exporters.rewrites.control.proving import Proof, normal


class Tables(nn.Module):
    """A grid for each height and width, beside one that is there from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[tuple[int, ...], Tensor] = {(0, 0): torch.zeros(0)}
        self.names = {"scale": 2.0}

    def table(self, height: int, width: int) -> Tensor:
        found = self.tables.get((height, width))
        if found is None:
            found = torch.arange(height)[:, None] * width + torch.arange(width)
            self.tables[height, width] = found
        return found * self.names["scale"]

    def forward(self, x: Tensor) -> Tensor:
        once, again = (self.table(*x.shape[1:]) for _ in range(2))
        return x + once * again + self.table(x.shape[2], x.shape[1]).T


_TRIANGLES: dict[int, Tensor] = {}


class Triangles(nn.Module):
    """A mask for each length, among the globals."""

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length not in _TRIANGLES:
            _TRIANGLES[length] = torch.ones(length, length).tril()
        return _TRIANGLES[length] @ x


def test_a_global_table_for_every_size(tmp_path: Path) -> None:
    signature = "x: float32[batch, n, 4]; where batch = 1..3, n = 1..9"
    proof = Proof((Triangles(), signature), tmp_path / "model.onnx")
    for sizes in ((1, 2, 4), (2, 5, 4), (3, 1, 4)):
        proof.holds_for({"x": normal(sizes)})
    assert all(type(length) is int for length in _TRIANGLES)


def test_a_table_for_every_size(tmp_path: Path) -> None:
    signature = "x: float32[batch, h, w]; where batch = 1..3, h = 2..9, w = 1..9"
    proof = Proof((Tables(), signature), tmp_path / "model.onnx")
    for sizes in ((1, 2, 1), (2, 5, 5), (3, 9, 4)):
        proof.holds_for({"x": normal(sizes)})


def test_a_dict_is_the_modules_own_again_and_holds_nothing_of_the_trace() -> None:
    module = Tables()
    own = module.tables
    with caches.by_size(module):
        module(torch.ones(1, 2, 3))
        assert (2, 3) in module.tables
        assert module.tables is not own
    assert module.tables is own
    assert list(own) == [(0, 0)]
