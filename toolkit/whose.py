"""Whose code a file is: what a refusal quotes is the model's, not torch's, Python's or ours."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import torch

_TOOLKIT = Path(__file__).parent
_ZOO = f"{_TOOLKIT / 'zoo'}{os.sep}"
_PYTHONS = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_TORCHS_AND_OURS = tuple(
    f"{folder}{os.sep}"  # with it: torchvision's models are anybody's
    for folder in (
        Path(torch.__file__).parent,
        *(_TOOLKIT.parent / name for name in ("exporters", "runtimes", "toolkit")),
    )
)
_INSTALLED = ("site-packages", "dist-packages")


def is_models(file: str) -> bool:
    """May a model be written there: in a file or cell of the user's own, a package, the zoo?"""
    if file.startswith((_ZOO, "<ipython-input")):
        return True
    if file.startswith(("<", *_TORCHS_AND_OURS)):
        return False
    return bool(package(file)) or not file.startswith(_PYTHONS)


def package(file: str) -> str:
    """The installed package that has the file; "" where none has."""
    parts = Path(file).parts
    at = max((n for n, part in enumerate(parts) if part in _INSTALLED), default=len(parts))
    return Path(*parts[at + 1 : at + 2]).stem
