"""The versions that a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata

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
