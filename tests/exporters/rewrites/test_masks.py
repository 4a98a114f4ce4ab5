"""What sees everything has no mask in a graph either; functions of the model's own shape others."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from tests.exporters.holding import holds

CONFIG = BertConfig()
CONFIG._attn_implementation = "eager"


class Alone(nn.Module):
    """Says by what it returns whether it was given a mask."""

    def forward(self, x: Tensor) -> Tensor:
        return x if create_bidirectional_mask(CONFIG, x, None) is None else x + 1


class Padded(nn.Module):
    """What is padded has one, unless its values tell that nothing is."""

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        mask = create_bidirectional_mask(CONFIG, x, padding)
        return x if mask is None else x + mask.clamp(min=-1).sum()


class Shaped(nn.Module):
    """Tokens of one kind see each other, and none sees what a table of the model forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("forbidden", torch.tensor([False, True, False]))

    def forward(self, x: Tensor, padding: Tensor, kinds: Tensor) -> Tensor:
        def together(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return kinds[batch, query] == kinds[batch, key]

        def allowed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return ~self.forbidden[kinds[batch, key]]

        mask = create_causal_mask(
            CONFIG, x, padding, None, or_mask_function=together, and_mask_function=allowed
        )
        return mask.clamp(min=-1) + x.sum()


@pytest.mark.parametrize(
    ("module", "signature"),
    [
        (Alone, "x: float32[n, t, 4]; where n = 1..3, t = 1..5"),
        (
            Shaped,
            "x: float32[n, t, 4]; padding: int64[n, t] in {0, 1}; kinds: int64[n, t] in 0..2;"
            " where n = 1..3, t = 1..5",
        ),
        (Padded, "x: float32[n, t, 4]; padding: int64[n, t] in {0, 1}; where n = 1..3, t = 1..5"),
    ],
)
def test_holds(module: type[nn.Module], signature: str, tmp_path: Path) -> None:
    assert holds(module, signature, tmp_path / "m.onnx")
