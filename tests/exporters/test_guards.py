"""What a traced program assumes of sizes: where it changes its mind, and what it is narrowed to."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporters import guards
from exporters.dynamo import Dynamo
from toolkit import source
from toolkit.errors import ExportRefused
from toolkit.signature import Signature


class Tail(nn.Module):
    """The last eight columns, or all of them where there are fewer."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, torch.sym_max(x.shape[1] - 8, 0) :]


class Room(nn.Module):
    """As many rows as are missing to 12, and none beyond."""

    def forward(self, x: Tensor) -> Tensor:
        missing = torch.sym_max(12 - x.shape[0], 0)
        return torch.cat([x, x.new_zeros(missing, x.shape[1])])


@pytest.mark.parametrize(
    ("module", "sizes", "expected"),
    [
        (Tail(), "n = 2..64, t = 2..64", {"t": [7, 8, 9]}),
        (Room(), "n = 2..64, t = 2..64", {"n": [11, 12, 13]}),
        (Room(), "n = 2..9, t = 2..64", {}),
        (nn.ReLU(), "n = 2..64, t = 2..64", {}),
    ],
    ids=["slice", "max", "max that never turns", "none"],
)
def test_boundaries_are_the_sizes_on_both_sides(
    module: nn.Module, sizes: str, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    model = source.load((module.eval(), f"x: float32[n, t]; where {sizes}"))
    traced = Dynamo().export(model, tmp_path / "m.onnx", opset=20)
    found = {name: list(sizes) for name, sizes in traced.boundaries.items()}
    assert found == expected


class Two(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 2 if x.shape[0] > 3 else x
        return x + 1 if x.shape[1] < 20 else x


def test_a_refusal_carries_the_ends_of_every_dimension_that_was_narrowed(tmp_path: Path) -> None:
    model = source.load((Two().eval(), "x: float32[n, t]; where n = 1..64, t = 1..64"))
    with pytest.raises(ExportRefused) as caught:
        Dynamo().export(model, tmp_path / "m.onnx", opset=20)
    assert caught.value.limits == {"n": [4, 64], "t": [2, 19]}


def test_limits_are_none_where_only_0_and_1_are_set_apart() -> None:
    model = source.load((nn.ReLU().eval(), "x: float32[n]; where n = 1..64"))
    x = torch.zeros(5)
    program = torch.export.export(nn.ReLU(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    assert guards.limits(program, model.signature) == []


class Mapped(nn.Module):
    """Says whether the map, eight times smaller than the image, is one column wide."""

    def forward(self, x: Tensor) -> Tensor:
        small = x[..., ::8]
        return small.sum(-1) if small.shape[-1] == 1 else small.mean(-1)


@pytest.mark.parametrize(("traced", "broken"), [(8, True), (24, False)])
def test_what_was_taken_for_true_is_held_against_the_ends(traced: int, broken: bool) -> None:
    signature = Signature.parse("x: float32[n, w]; where n = 2..3, w = 16..64 step 8")
    shapes = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},)
    program = torch.export.export(Mapped(), (torch.zeros(2, traced),), dynamic_shapes=shapes)
    assert bool(guards.broken(program, signature)) is broken


class Halved(nn.Module):
    """What is odd is padded after it was halved and doubled."""

    def forward(self, x: Tensor) -> Tensor:
        y = x[..., : x.shape[-1] // 40 * 40 : 40]
        missing = x.shape[-1] // 20 - 2 * y.shape[-1]
        return y.repeat_interleave(2, -1) if missing < 1 else y.repeat_interleave(3, -1)


@pytest.mark.parametrize("orders", [True, False])
def test_an_order_of_sizes_is_held_against_those_between_the_ends(orders: bool) -> None:
    signature = Signature.parse("x: float32[n, w]; where n = 2..3, w = 160..619")
    shapes = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},)
    program = torch.export.export(Halved(), (torch.zeros(2, 160),), dynamic_shapes=shapes)
    assert bool(guards.broken(program, signature, orders=orders)) is orders
