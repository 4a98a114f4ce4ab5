"""einx writes functions for the sizes that it sees: here they stay open."""

from pathlib import Path

import einx
import pytest
import torch
from torch import Tensor, nn

from exporters.rewrites import named_axes
from tests.exporters.holding import holds


class Relative(nn.Module):
    """Distances of positions, a gate, a mask and two axes made one, as x-transformers has them."""

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1])
        near = -einx.subtract("j, i -> 1 i j", places, places).abs()
        seen = near.to(x.dtype).softmax(-1) @ x
        gated = einx.multiply("b n, b n d -> b n d", x.mean(-1).sigmoid(), seen)
        shown = einx.where("b n, b n d, -> b n d", x.sum(-1) > 0, gated, 0.5)
        found: Tensor = einx.add("b n d, s d -> (b s) n d", shown, torch.eye(2, 4))
        return found


def test_every_length(tmp_path: Path) -> None:
    signature = "x: float32[b, n, 4] in -2..2; where b = 1..4, n = 1..12"
    assert holds(Relative, signature, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("description", "shapes"),
    [
        ("i, j -> i j", [(3,), (4,)]),
        ("... j, ... i -> ... i j", [(2, 3, 4), (2, 3, 5)]),
        ("a 1 b, c -> (b a) 1 c", [(2, 1, 3), (4,)]),
        ("a, a -> a", [(3,), (3,)]),
        ("a b, b a -> b a", [(2, 3), (3, 2)]),
        ("(a b), b -> a b", [(6,), (3,)]),  # and these three are left to einx
        ("a a, a -> a", [(3, 3), (3,)]),
        ("a b, b", [(2, 3), (3,)]),
    ],
)
def test_what_einx_gives(description: str, shapes: list[tuple[int, ...]]) -> None:
    given = [torch.randn(shape) for shape in shapes]
    expected = einx.subtract(description, *given)
    with named_axes.FAMILY.tracing(nn.Identity()):
        found = einx.subtract(description, *given)
    assert found.equal(expected)
