"""What a module keeps of its last call is put back, and an exporter sees it as it was made."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.kept import kept


class Keeps(nn.Module):
    """In an attribute, in one that was not there, in a buffer, and a number beside them."""

    sines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor | None = None
        self.seen = 0
        self.register_buffer("sines", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.mask, self.last, self.seen = x > 0, x, len(x)
        self.sines = x.sin()
        return self.sines * self.mask


def test_attributes_and_buffers_are_what_they_were() -> None:
    module = nn.Sequential(Keeps())
    sines, held = module[0].sines, kept(module)
    module(torch.ones(3))
    held.put_back()
    assert (module[0].mask, module[0].seen, hasattr(module[0], "last")) == (None, 0, False)
    assert module[0].sines is sines


def test_a_lazy_module_stays_what_it_became() -> None:
    module = nn.Sequential(nn.LazyLinear(2), nn.LazyBatchNorm1d())
    held = kept(module)
    expected = module.eval()(torch.ones(1, 3))
    held.put_back()
    assert module[0].in_features == 3
    torch.testing.assert_close(module(torch.ones(1, 3)), expected)


class Grows(nn.Module):
    """A layer that the first call makes, and a list beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(x.shape[1], 2)
        self.seen.append(len(x))
        found: Tensor = self.layer(x)
        return found


def test_layers_that_a_call_made_stay_and_what_it_noted_goes() -> None:
    module = Grows()
    held = kept(module)
    module(torch.ones(1, 3))
    layer = module.layer
    assert held.put_back()
    assert module.layer is layer
    assert module.seen == []
    assert not held.put_back()


class Masked(nn.Module):
    """The language model of PyTorch's tutorial: a mask that is made when the length changes."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor | None = None
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if self.mask is None or self.mask.size(0) != length:
            self.mask = torch.log(torch.tril(torch.ones(length, length)))
        found: Tensor = self.encoder(x, mask=self.mask)
        return found


class Rotary(nn.Module):
    """Tables that grow, beside the length that they are for."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0
        self.table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if self.table is None or length > self.longest:
            self.longest = length
            self.table = torch.outer(torch.arange(length), 1 / 10.0 ** torch.arange(8)).cos()
        return x * self.table[:length]


class BySize(nn.Module):
    """Masks of all the lengths there were."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length not in self.masks:
            self.masks[length] = torch.ones(length, length).tril()
        return self.masks[length] @ x


class Grid(nn.Module):
    """Places that are made once for a batch, a list of as many as there are rows."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.places is None or self.places.shape != x.shape[:2]:
            self.places = torch.stack([torch.arange(x.shape[1])] * x.shape[0])
        return x + self.places[..., None]


@pytest.mark.parametrize("module", [Masked, Rotary, BySize, Grid])
def test_a_module_that_asks_whether_what_it_keeps_still_fits_is_exported(
    module: type[nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        module().eval(),
        tmp_path / "model.onnx",
        signature="x: float32[batch, tokens, 8] in -3..3; where batch = 1..4, tokens = 1..9",
        exporters=["onnxport"],
    )
    assert exported.report.holds
