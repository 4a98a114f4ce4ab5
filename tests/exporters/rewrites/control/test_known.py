"""A branch on what a model holds is no branch: its values are those of the file."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from exporters.rewrites.control.known import tensors_of
from tests.exporters.holding import holds

ROWS = "x: float32[n, 4]; where n = 1..8"


class Masked(nn.Module):
    """As EoMT: a mask, or None, by a probability of each layer; and what is drawn by it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.register_buffer("probability", torch.tensor([0.0, 1.0, 0.0]))
        self.gate = nn.Parameter(torch.tensor([[-0.5, 2.0]]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mask, masks = None, []
        for layer, probability in zip(self.layers, self.probability, strict=True):
            if probability > 0 and self.gate.abs().sum() < 3:
                mask = x > 0
                masks.append(mask)
                if probability < 1:
                    mask = mask & (torch.rand(mask.shape) < probability)
            x = layer(x)
            if mask is not None:
                x = x * mask
        return x, *masks


class Written(nn.Module):
    """What a buffer was is not what it is once a step has written to a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.seen[1:].fill_(1.0)
        y = x * 2 if self.seen.sum() > 1 else x * 3
        self.seen[:1].copy_(x[:1, 0])
        y = y + 1 if self.seen[0] > 0 else y - 1
        self.seen.zero_()
        return y


class Replaced(nn.Module):
    """What an input takes the place of."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor(-1.0))
        self.register_buffer("kind", torch.tensor(-1.0))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        before = self.level, self.kind
        self.level, self.kind = level, x.sum()
        y = x * 2 if self.level > 0 else x * 3
        y = y + 1 if self.kind > 0 else y - 1
        self.level, self.kind = before
        return y


class Registering(nn.Module):
    """Keeps a table from its first run on."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "table"):
            self.register_buffer("table", torch.arange(4.0))
        return x + self.table


def test_what_a_run_registers_is_no_tensor_of_the_model_before_it() -> None:
    model, x = Registering(), torch.ones(2, 4)
    with tensors_of(model):
        assert torch.equal(model(x), model(x))


def test_a_branch_on_weights_and_buffers_is_decided_by_them(tmp_path: Path) -> None:
    assert holds(Masked, ROWS, tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert len(graph.output) == 2
    assert not {"If", "RandomUniform", "RandomUniformLike"} & {n.op_type for n in graph.node}


@pytest.mark.parametrize(
    ("module", "signature"), [(Written, ROWS), (Replaced, ROWS.replace(";", "; level: float32[];"))]
)
def test_a_buffer_that_a_run_changes_is_not_known(
    module: type[nn.Module], signature: str, tmp_path: Path
) -> None:
    assert holds(module, signature, tmp_path / "m.onnx")
