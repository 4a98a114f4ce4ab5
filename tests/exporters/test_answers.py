"""What torch asks of sizes while it traces, answered by the sizes that are declared."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.exporters.holding import holds

TEXT = "x: float32[batch, n, 8]; where batch = 1..3, n = 4..24"
WINDOWS_OR_NONE = "x: float32[batch, n, 8]; where batch = 1..3, n = 1..24"


class Best(nn.Module):
    """Of all windows of four, at most sixteen: there are no more than n // 4."""

    def forward(self, x: Tensor) -> Tensor:
        windows = x[:, : x.shape[1] // 4 * 4].reshape(x.shape[0], x.shape[1] // 4, 32).sum(-1)
        return windows.topk(min(16, windows.shape[1])).values


class Windows(nn.Module):
    """What is left over of windows of four is left away; of none there is no view."""

    def forward(self, x: Tensor) -> Tensor:
        count = x.shape[1] // 4
        if count > 0:
            x = x[:, : count * 4]
            x = x.view(x.shape[0], count, 4, -1).mean(2)
        else:
            x = x[:, :0]
        return x.sum(1)


class Shifted(nn.Module):
    """Each window beside the one before it, where there are two."""

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unflatten(1, (-1, 4))
        both = windows.new_zeros(x.shape[0], x.shape[1] // 4, 8, 8)
        both[:, :, 4:] = windows
        both[:, 1:, :4] = windows[:, :-1]
        return both.mean(2)


class Indexed(nn.Module):
    """Every fourth step, by two tensors of places: in the example, of five steps, there is one."""

    def forward(self, x: Tensor) -> Tensor:
        rows, steps = torch.arange(x.shape[0]), torch.arange(x.shape[1] // 4)
        found = x[rows[:, None], steps * 4]
        return found.reshape(x.shape[0], -1, 2, 4).sum(-1)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Best, TEXT),
        (Indexed, TEXT),
        (Windows, WINDOWS_OR_NONE),
        (Shifted, "x: float32[batch, n, 8]; where batch = 1..3, n = 4..64 step 4"),
    ],
)
def test_what_is_true_of_all_sizes_narrows_none(
    module: type[nn.Module], text: str, tmp_path: Path
) -> None:
    assert holds(module, text, tmp_path / "m.onnx")
