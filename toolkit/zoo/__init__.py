"""The PyTorch definition of every architecture, one file each: the model and its signature.

`build(name, **arguments)` calls the `build` function of the file of that name, which returns
`(module, signature)`. Nothing here trains or exports.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from inspect import signature as python_signature
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from toolkit.signature import Signature


def names() -> tuple[str, ...]:
    """All architectures, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def build(name: str, **arguments: Any) -> tuple[nn.Module, Signature]:
    """The architecture with random weights, the same ones every time.

    Raises InputError for an unknown name or argument.
    """
    import torch

    factory = _file(name).build
    accepted = python_signature(factory).parameters
    if unknown := sorted(set(arguments) - set(accepted)):
        raise InputError(
            f"zoo:{name} has no argument '{unknown[0]}'", "it has: " + ", ".join(accepted)
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result: tuple[nn.Module, Signature] = factory(**arguments)
    return result


@dataclass(frozen=True)
class Entry:
    """What the zoo says of an architecture with its default arguments."""

    name: str
    title: str
    """The first line of its file: what it is, and what it is for."""
    parameters: int
    signature: Signature
    parts: tuple[str, ...]
    """The graphs that it is run as, where it is more than one (`toolkit.sequence`)."""
    arguments: tuple[str, ...]


def describe(name: str) -> Entry:
    """Without making any weights, so that large ones are quick too. Raises InputError."""
    import torch

    file = _file(name)
    with torch.device("meta"):
        module, signature = file.build()
    title = (file.__doc__ or "").partition("\n")[0]
    count = sum(p.numel() for p in module.parameters())
    parts = tuple(getattr(module, "parts", ()))
    return Entry(
        name, title, count, signature, parts, tuple(python_signature(file.build).parameters)
    )


def _file(name: str) -> Any:
    if name not in names():
        raise InputError(f"the zoo has no '{name}'", "it has: " + ", ".join(names()))
    return importlib.import_module(f"{__name__}.{name}")
