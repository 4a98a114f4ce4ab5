"""What operators are told is heard while a module runs once."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode

from runtimes.telling import told
from toolkit.parity.operators import Told


class Telling(nn.Module):
    """Functions and modules, in place and not."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = nn.GELU(approximate="tanh")
        self.slope = nn.LeakyReLU(0.25, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.layer_norm(functional.gelu(x), (4,), eps=1e-3)
        return functional.hardswish(self.slope(self.kind(y)))


def heard(module: nn.Module, *shape: int) -> set[Told]:
    with torch.no_grad():
        return set(told(module, lambda: module(torch.ones(shape))))


def test_each_argument_is_heard_with_the_module_that_says_it() -> None:
    assert heard(Telling(), 2, 4) == {
        Told("", "gelu", "approximate", "none"),
        Told("", "native_layer_norm", "eps", 1e-3),
        Told("kind", "gelu", "approximate", "tanh"),
        Told("slope", "leaky_relu", "negative_slope", 0.25),
        Told("", "hardswish", str(1 / 6), 1 / 6),
    }


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.BatchNorm1d(4, eps=1e-4).eval(), (2, 4), Told("", "native_batch_norm", "eps", 1e-4)),
        (nn.InstanceNorm1d(4), (2, 4, 3), Told("", "native_batch_norm", "eps", 1e-5)),
        (nn.GroupNorm(2, 4, eps=1e-2), (2, 4), Told("", "native_group_norm", "eps", 1e-2)),
        (nn.ELU(0.5), (2,), Told("", "elu", "alpha", 0.5)),
        (nn.CELU(0.5), (2,), Told("", "celu", "alpha", 0.5)),
        (nn.Softshrink(0.25), (2,), Told("", "softshrink", "lambd", 0.25)),
        (nn.Hardsigmoid(), (2,), Told("", "hardsigmoid", str(1 / 6), 1 / 6)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_modules_of_torch_are_heard(
    module: nn.Module, shape: tuple[int, ...], expected: Told
) -> None:
    assert expected in heard(module, *shape)


def test_an_encoder_layer_is_heard_where_one_kernel_would_do_all_of_it() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", layer_norm_eps=1e-12).eval()
    found = heard(layer, 2, 3, 4)
    assert Told("", "gelu", "approximate", "none") in found
    assert {t.value for t in found if t.operator == "native_layer_norm"} == {1e-12}


class Unwatched(nn.Module):
    """A program that cannot run under a mode, as some operators of a higher order cannot."""

    def forward(self, x: Tensor) -> Tensor:
        if _get_current_dispatch_mode() is not None:
            raise NotImplementedError
        return functional.gelu(x)


def test_a_module_that_cannot_be_watched_says_nothing() -> None:
    assert heard(Unwatched(), 2) == set()
