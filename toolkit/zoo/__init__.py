"""The PyTorch definition of every architecture, one file each: the model and its signature.

`build(name, **arguments)` calls the `build` function of the file of that name, which returns
`(module, signature)`. Nothing here trains or exports.
"""

from __future__ import annotations

import importlib
import pkgutil
from inspect import signature as python_signature
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from toolkit.signature import Signature


def names() -> tuple[str, ...]:
    """All architectures, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def build(name: str, **arguments: Any) -> tuple[nn.Module, Signature]:
    """The architecture with random weights, the same ones every time.

    Raises InputError for an unknown name or argument.
    """
    import torch

    if name not in names():
        raise InputError(f"the zoo has no '{name}'", "it has: " + ", ".join(names()))
    factory = importlib.import_module(f"{__name__}.{name}").build
    accepted = python_signature(factory).parameters
    if unknown := sorted(set(arguments) - set(accepted)):
        raise InputError(
            f"zoo:{name} has no argument '{unknown[0]}'", "it has: " + ", ".join(accepted)
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result: tuple[nn.Module, Signature] = factory(**arguments)
    return result
