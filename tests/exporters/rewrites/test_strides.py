"""Strides narrow no range: what is one pixel in the example may be two elsewhere."""

import torch
from torch import Tensor, nn

from exporters import dynamo, guards
from exporters.example import example
from exporters.rewrites import strides
from tests.exporters.images import IMAGES
from toolkit import source


class Reduced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.last = nn.Conv2d(3, 4, 3, 64), nn.Conv2d(4, 4, 1)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.reduce(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.last(y).mean((2, 3))


def test_no_size_is_excluded_for_how_a_tensor_lies_in_memory() -> None:
    model = source.load((Reduced().eval(), IMAGES))
    shapes, inputs = dynamo._shapes(model.signature), example(model.signature)
    with strides.FAMILY.tracing(model.module):
        program = dynamo._exported(model.flat(), inputs, shapes, False)
    assert guards.limits(program, model.signature) == []


def test_torch_has_its_own_questions_again() -> None:
    own = torch._prims_common.is_contiguous
    with strides.FAMILY.tracing(Reduced()):
        assert torch._prims_common.is_contiguous is not own
    assert torch._prims_common.is_contiguous is own
