"""The versions that a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import NamedTuple

from toolkit.errors import MissingError

OPSET = 20
"""Of an exported file, where nothing else is said: what torch writes by default."""

PACKAGES = (
    "onnxport",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime-gpu",
    "onnxruntime",
    "onnxsim",
    "numpy",
)


def installed() -> dict[str, str]:
    """Package name to version, for those of PACKAGES that are installed, and Python's own."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Broken(NamedTuple):
    """Two packages that are wrong together: version specifiers, and what goes wrong."""

    one: tuple[str, str]
    other: tuple[str, str]
    reason: str


BROKEN = (
    Broken(
        ("torch", "==2.9.*"),
        ("onnxscript", "==0.5.6"),
        "batch normalization comes out wrong, silently (pytorch#169178, #166797)",
    ),
    Broken(
        ("torch", "<2.7"),
        ("onnxscript", ">=0.5.4"),
        "batch normalization is not exported (onnxscript#2651)",
    ),
)


def require_sound(found: dict[str, str] | None = None) -> None:
    """Raises MissingError where the installed versions are known to give wrong files together."""
    from packaging.specifiers import SpecifierSet

    found = installed() if found is None else found
    for one, other, reason in BROKEN:
        if all(
            name in found and SpecifierSet(spec).contains(found[name].split("+")[0])
            for name, spec in (one, other)
        ):
            raise MissingError(
                f"{one[0]} {found[one[0]]} with {other[0]} {found[other[0]]}: {reason}",
                f"pip install -U {one[0]} {other[0]}",
            )
