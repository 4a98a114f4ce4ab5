"""(f) Models as other people define them, of packages that were not written to be exported.

Small and with random weights; packages.toml lists them. Nothing in them is changed; what draws
random numbers in eval mode, or needs a kernel of its own, is left out. The packages are not in
.venv but in a folder of their own, build/packages, which the command in `HINT` fills; some of them
want torchvision as well (`vision`).
"""

from __future__ import annotations

import sys
import tomllib
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.corpora import vision
from benchmarks.corpora.cases import Case, stir
from toolkit.errors import MissingError

FOLDER = Path("build/packages")
HINT = f"pip install --no-deps --target {FOLDER} -r benchmarks/corpora/packages.txt"


def cases() -> Iterator[Case]:
    """Each model of the table. Raises MissingError where the packages are not there."""
    vision.load()
    if not (FOLDER / "einops").is_dir():
        raise MissingError(f"the packages are not in {FOLDER}", HINT)
    if str(FOLDER.resolve()) not in sys.path:
        sys.path.append(str(FOLDER.resolve()))
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    signatures = table.pop("signatures")
    for package, models in table.items():
        for name, (make, accepts, *given) in models.items():
            wanted = {"make": make, **(given[0] if given else {})}
            signature = signatures.get(accepts, accepts)
            yield Case(f"{package}/{name}", partial(build, wanted, signature))


def build(wanted: dict[str, Any], signature: str) -> tuple[nn.Module, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model: nn.Module = _made(wanted).eval()
    stir(model)
    return model, signature


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_made, value))
    if not isinstance(value, dict):
        return None if value == "" else value
    given = {name: _made(inner) for name, inner in value.items()}
    module, _, name = given.pop("make").partition(":")
    return getattr(import_module(module), name)(**given)
