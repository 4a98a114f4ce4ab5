"""One file on one feed under different optimizations of a runtime, in one child process."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, open_artifact
from toolkit.isolation import Worker


class Optimizations:
    """Runs a feed (by the file's names) at any level and without any rewrites of a runtime.

    Use it as a context manager. `seconds`: for all its runs together; then StageCrashed is raised.
    """

    def __init__(
        self,
        artifact: OnnxArtifact,
        feeds: Mapping[str, np.ndarray],
        *,
        runtime: str,
        device: str,
        seconds: float,
    ) -> None:
        self._feeds = dict(feeds)
        self._options: dict[str, Any] = {
            "path": str(artifact.path),
            "signature": str(artifact.signature),
            "runtime": runtime,
            "device": device,
        }
        self._end = time.perf_counter() + seconds
        self._worker = Worker(f"{runtime} on '{artifact.path.name}'")

    def __enter__(self) -> Optimizations:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.__exit__()

    @property
    def seconds(self) -> float:
        """What is left."""
        return max(0.1, self._end - time.perf_counter())

    def known(self) -> tuple[list[str], list[str]]:
        """The runtime's levels, and those of its rewrites that change this graph."""
        reply = self._worker.call(f"{__name__}:_known", timeout=self.seconds, **self._options)
        levels, names = reply.value
        return levels, names

    def run(self, level: str, without: Collection[str] = ()) -> dict[str, np.ndarray]:
        """The outputs, by the file's names."""
        options = self._options | {"level": level, "without": sorted(without)}
        target = f"{__name__}:_run"
        return self._worker.call(target, self._feeds, timeout=self.seconds, **options).arrays


# What follows runs in the child.


def _known(
    _: object, path: str, signature: str, runtime: str, device: str
) -> tuple[tuple[list[str], list[str]], dict[str, Any]]:
    found = plugins.runtime(runtime)
    if not isinstance(found, plugins.Optimizing):
        return ([], []), {}
    names = found.optimizers(open_artifact(path, signature), device)
    return (list(found.levels), list(names)), {}


def _run(
    feeds: Mapping[str, np.ndarray],
    path: str,
    signature: str,
    runtime: str,
    device: str,
    level: str,
    without: list[str],
) -> tuple[None, dict[str, np.ndarray]]:
    found = plugins.runtime(runtime)
    assert isinstance(found, plugins.Optimizing)
    return None, found.load_at(open_artifact(path, signature), device, level, without).run(feeds)
