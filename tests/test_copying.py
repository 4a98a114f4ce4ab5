"""A copy of a module whose hooks keep what the copy computes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from toolkit.copying import copied


class Tapped(nn.Module):
    """A layer whose output a hook keeps, for the end to use it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer, self.kept = nn.Linear(4, 4), dict[str, Tensor]()
        tapped = self.kept

        def under(name: str) -> Any:
            def keep(module: nn.Module, given: Any, found: Tensor) -> None:
                tapped[name] = found

            return keep

        hooks = {
            "a lambda": lambda module, given, found: self.kept.update(layer=found),
            "a function in a function": under("layer"),
            "a method": self.keep,
            "a method with more": partial(self.keep, name="layer"),
        }
        self.layer.register_forward_hook(hooks[kind])

    def keep(self, module: nn.Module, given: Any, found: Tensor, name: str = "layer") -> None:
        self.kept[name] = found

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x).relu(), self.kept["layer"]


KINDS = ("a lambda", "a function in a function", "a method", "a method with more")


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_its_own(kind: str) -> None:
    module = Tapped(kind)
    copy = copied(module)
    module(torch.zeros(1, 4))
    after, kept = copy(torch.ones(2, 4))
    torch.testing.assert_close(after, kept.relu())
    assert module.kept["layer"].shape == (1, 4)


def test_functions_that_hold_nothing_of_it_stay_the_same() -> None:
    outside: list[Any] = []
    module = nn.Linear(4, 4)
    module.register_forward_hook(lambda *given: outside.append(given))
    module.activation = torch.relu
    copy = copied(module)
    assert list(copy._forward_hooks.values()) == list(module._forward_hooks.values())
    assert copy.activation is torch.relu


def test_a_model_that_reads_what_its_hooks_keep_is_exported(tmp_path: Path) -> None:
    exported = toolkit.export(
        Tapped("a lambda").eval(),
        tmp_path / "model.onnx",
        signature="x: float32[batch, 4] in -3..3; where batch = 1..9",
        exporters=["onnxport"],
    )
    assert exported.report.holds
