"""How the modules of corpus (e) are listed: each class with its signature, under its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from benchmarks.corpora.cases import Case

Made = Callable[[], nn.Module]


class Bends:
    """The modules of one file, in its order."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self.cases: list[Case] = []

    def __call__(self, signature: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
        def listed(module: type[nn.Module]) -> type[nn.Module]:
            name = f"{self._subject}/{module.__name__}"
            self.cases.append(Case(name, partial(_build, module, signature)))
            return module

        return listed


def _build(module: type[nn.Module], signature: str) -> tuple[nn.Module, str]:
    torch.manual_seed(0)
    return module().eval(), signature
