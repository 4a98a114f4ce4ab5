"""What torch asks of sizes while it traces, answered by the sizes that are declared."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from exporters import guards
from exporters.answers import answering
from exporters.declared import declaring
from exporters.example import example
from tests.exporters.holding import holds
from toolkit import source

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


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Best, TEXT),
        (Windows, WINDOWS_OR_NONE),
        (Shifted, "x: float32[batch, n, 8]; where batch = 1..3, n = 4..64 step 4"),
    ],
)
def test_what_is_true_of_all_sizes_narrows_none(
    module: type[nn.Module], text: str, tmp_path: Path
) -> None:
    assert holds(module, text, tmp_path / "m.onnx")


class Broadcasts(nn.Module):
    """Of every fourth step there are some, or one, which torch asks to know what broadcasts."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, ::4].sum(-1) * x[:, :1, 0]


class Asks(nn.Module):
    """The same, for itself: what it says of the example is not so of four steps."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if (x.shape[1] + 3) // 4 != 1 else x


@pytest.mark.parametrize(("module", "notes"), [(Broadcasts, False), (Asks, True)])
def test_that_two_sizes_differ_is_noted_where_the_model_asks(
    module: type[nn.Module], notes: bool
) -> None:
    model = source.load((module(), TEXT))
    with declaring(model.signature), answering(), guards.watching() as seen:
        inputs = example(model.signature, model.examples)
        shapes = ({1: Dim.DYNAMIC},)
        torch.export.export(model.flat(), inputs, dynamic_shapes=(shapes,))
    noted = [guard for guard in seen.guards if "suppressed" not in guard.text]
    assert any("Ne(" in guard.text for guard in noted) == notes
