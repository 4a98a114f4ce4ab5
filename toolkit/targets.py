"""The runtime that a file is meant for: the newest opset and IR version that it loads.

The installed one is asked. Of others there is a table, measured: each release was given files of
rising versions until it refused one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit import plugins
from toolkit.errors import UsageError


@dataclass(frozen=True)
class Target:
    """A runtime, and the newest opset of the domain ai.onnx and IR version that it loads."""

    name: str
    opset: int
    ir_version: int


_RELEASES = {
    "onnxruntime": {
        (1, 16): (19, 9),
        (1, 17): (20, 9),
        (1, 18): (21, 10),
        (1, 19): (21, 10),
        (1, 20): (21, 10),
        (1, 21): (22, 10),
        (1, 22): (22, 10),
        (1, 23): (23, 11),
        (1, 24): (25, 13),
        (1, 25): (26, 13),
        (1, 26): (26, 13),
        (1, 27): (26, 13),
        (1, 28): (26, 13),
        (1, 29): (26, 13),
        (1, 30): (26, 13),
        (1, 31): (26, 13),
        (1, 32): (28, 14),
    },
}
"""Release: (opset, IR version)."""


def target(text: str = "") -> Target:
    """What `onnxruntime==1.20` loads; without a text, what the installed ONNX Runtime loads.

    Raises UsageError for a runtime or a release that is not in the table.
    """
    if not text:
        return _installed("onnxruntime")
    found = re.fullmatch(r"([\w-]+)(?:==(\d+)\.(\d+)(?:\.\w+)*)?", text.replace(" ", ""))
    if not found or found[1] not in _RELEASES:
        raise UsageError(f"'{text}' is not a target", "write onnxruntime==1.20")
    if found[2] is None:
        return _installed(found[1])
    releases = _RELEASES[found[1]]
    release = int(found[2]), int(found[3])
    if release not in releases:
        known = [".".join(map(str, r)) for r in releases]
        raise UsageError(
            f"nothing is known of {text}", f"known releases: {known[0]} to {known[-1]}"
        )
    return Target(f"{found[1]} {found[2]}.{found[3]}", *releases[release])


def _installed(name: str) -> Target:
    runtime = plugins.runtime(name)
    if not isinstance(runtime, plugins.Bounded):
        raise UsageError(f"the runtime '{name}' does not say what it loads", "name a release of it")
    opset, ir_version = runtime.newest()
    return Target(f"the installed {name}", opset, ir_version)
