"""Models whose forward pass takes gradients: forces of an energy, derivatives of a field."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.exporters.holding import holds


def _net(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 1)
    )


class Potential(nn.Module):
    """The energy of atoms by their distances, and the forces on them: SchNet, ANI, MACE."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds, self.pairs, self.energy = nn.Embedding(5, 8), _net(1), _net(8)

    def forward(self, places: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            places.requires_grad_()
            apart = 1 - torch.eye(len(kinds))
            gaps = places[:, None] - places[None]
            distances = (gaps.square().sum(-1) + torch.eye(len(kinds))).sqrt()
            near = self.pairs(torch.exp(-distances)[..., None])[..., 0] * apart
            energy = self.energy(near @ self.kinds(kinds)).sum()
            return energy, -torch.autograd.grad(energy, places, create_graph=self.training)[0]


class Field(nn.Module):
    """A solution of a differential equation: first derivatives, and one of these."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            u = self.net(x)
            first = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]
            along = first[:, 0]
            second = torch.autograd.grad(along, x, torch.ones_like(along))[0][:, 0]
        return u, first[:, 1], second


class Stopped(nn.Module):
    """It leaves gradients to its caller, stops one on the way, and asks for one that is zero."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.unused = _net(4), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x.requires_grad_()
        total = (self.net(x) * x.detach()).sum()
        given = torch.autograd.grad(
            total, [x, self.unused], create_graph=True, allow_unused=True, materialize_grads=True
        )
        twice = torch.autograd.grad(given[0].square().sum(), x)[0]
        return (*given, twice)


class Functional(nn.Module):
    """By torch.func: of several arguments, with more than the gradient, one within another."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.scale = _net(4), nn.Parameter(torch.rand(4))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        def loss(scale: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
            found = self.net(x * scale)
            return (found - wanted).square().mean(), found

        both = torch.func.grad_and_value(loss, argnums=(0, 1), has_aux=True)
        (scaled, moved), (value, found) = both(self.scale, x[:, :1])

        def sharpness(scale: Tensor) -> Tensor:
            slope: Tensor = torch.func.grad(lambda y: self.net(y * scale).sum())(x)
            return slope.square().sum()

        return scaled, moved, value, found, torch.func.grad(sharpness)(self.scale)


ATOMS = """
places: float32[atoms, 3] in -2..2
kinds: int64[atoms] in 0..4
where atoms = 2..12
"""
CASES = {
    Potential: ATOMS,
    Field: "x: float32[points, 2] in -2..2; where points = 1..9",
    Stopped: "x: float32[batch, 4] in -2..2; where batch = 1..9",
    Functional: "x: float32[batch, 4] in -2..2; where batch = 1..9",
}


@pytest.mark.parametrize("module", CASES)
def test_it_holds_at_every_size(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")
