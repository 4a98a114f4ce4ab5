"""Sizes of pictures that are all the same are known numbers, in a list of unknown length."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporters.rewrites.control.same_rows import noted
from tests.exporters.holding import holds

ROWS, COLUMNS = 2, 3


class Pictures(nn.Module):
    def sizes(self, x: Tensor) -> Tensor:
        number = x.shape[0] // (ROWS * COLUMNS)
        return noted(torch.tensor([[ROWS, COLUMNS]]).repeat(number, 1), (ROWS, COLUMNS))


class Resizes(Pictures):
    """A table of places is resized for each (Cosmos 3)."""

    def forward(self, x: Tensor) -> Tensor:
        table = torch.arange(16.0).reshape(1, 1, 4, 4)
        places = []
        for height, width in self.sizes(x).tolist():
            fitting = functional.interpolate(table, (height, width), mode="bilinear")
            places.append(fitting.reshape(height * width, 1))
        return x + torch.cat(places)


class Rows(Pictures):
    """The same over the tensor (HunYuan)."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.cat([torch.arange(float(h * w))[:, None] for h, w in self.sizes(x)])


class Splits(Pictures):
    """Cut into pictures again, by a list of products (LFM 3)."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = self.sizes(x).tolist()
        lengths = [height * width for height, width in sizes]
        found = []
        for part, (height, width) in zip(torch.split(x, lengths), sizes, strict=True):
            picture = part.reshape(height, width, 4).transpose(0, 1)
            found.append(picture.flatten(0, 1) + picture.sum())
        return torch.cat(found)


class Multiplies(Pictures):
    """By the product of each row, also as numbers again."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lengths = self.sizes(x).prod(-1).tolist()
        parts = x.split(lengths)
        return torch.stack([part.sum(0) for part in parts]), torch.tensor(lengths)


@pytest.mark.parametrize("module", [Resizes, Rows, Splits, Multiplies])
def test_holds(module: type[nn.Module], tmp_path: Path) -> None:
    signature = "x: float32[n, 4]; where n = 6..24 step 6"
    assert holds(module, signature, tmp_path / "m.onnx")


class Longer(Pictures):
    """One more, of another length: of the others alone it is known."""

    def forward(self, x: Tensor) -> Tensor:
        lengths = [height * width for height, width in self.sizes(x)]
        lengths.append(2)
        return torch.tensor(lengths)


def test_what_is_appended_behind_the_loop_may_be_another(tmp_path: Path) -> None:
    assert holds(Longer, "x: float32[n, 4]; where n = 6..24 step 6", tmp_path / "m.onnx")
