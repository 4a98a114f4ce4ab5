"""A session in a fresh child process: the file as it lies on disk; a crash ends only the child."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, open_artifact
from toolkit.errors import StageCrashed
from toolkit.isolation import Reply, Worker

_HERE = __name__
_LOAD_LIMIT = 600.0
"""Seconds that a runtime may take to load a file."""


class IsolatedSession:
    """The `Session` protocol over a child process; use it as a context manager.

    After a crash the next run starts a new child: one bad case does not end a check. `worker`: a
    child that is there already, see `awaiting`.
    """

    def __init__(
        self,
        artifact: OnnxArtifact,
        *,
        runtime: str = "onnxruntime",
        device: str = "cpu",
        worker: Worker | None = None,
    ) -> None:
        self.signature = artifact.signature
        self.time_limit = _LOAD_LIMIT
        """Seconds that one run may take."""
        self._artifact, self._runtime = artifact, runtime
        self._worker = worker or Worker(f"{runtime} on '{artifact.path.name}'")
        self.device = device
        try:
            self.device = self._load()
        except BaseException:
            self._worker.__exit__()
            raise

    def __enter__(self) -> IsolatedSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.__exit__()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the runtime refuses the feed, StageCrashed where it dies."""
        if not self._worker.alive:
            self._load()
        return self._worker.call(f"{_HERE}:_run", feeds, timeout=self.time_limit).arrays

    def seconds(self, feeds: Mapping[str, np.ndarray], runs: int) -> list[float]:
        """The wall-clock time of each of `runs` runs, taken inside the child."""
        if not self._worker.alive:
            self._load()
        reply = self._worker.call(f"{_HERE}:_seconds", feeds, timeout=_LOAD_LIMIT, runs=runs)
        return [float(s) for s in reply.value]

    def _load(self) -> str:
        reply = self._worker.call(
            f"{_HERE}:_load",
            timeout=_LOAD_LIMIT,
            path=str(self._artifact.path),
            signature=str(self.signature),
            runtime=self._runtime,
            device=self.device,
        )
        return str(reply.value)


def awaiting(name: str, runtime: str = "onnxruntime") -> Worker:
    """A child for the session of a file of that name, which loads the runtime while the file is
    not there yet."""
    worker = Worker(f"{runtime} on '{name}'")
    worker.begin(f"{_HERE}:_ready", runtime=runtime)
    return worker


def call_alone(
    target: str,
    artifact: OnnxArtifact,
    feeds: Mapping[str, np.ndarray],
    *,
    runtime: str,
    timeout: float,
    **options: Any,
) -> Reply:
    """One call of `target` (`module:function`) about a file, in a child of its own.

    It gets the feeds, and by name the file's path, its signature as text, the runtime and
    `options`. Raises as `Worker.call` does.
    """
    with Worker(f"{runtime} on '{artifact.path.name}'") as worker:
        return worker.call(
            target,
            feeds,
            timeout=timeout,
            path=str(artifact.path),
            signature=str(artifact.signature),
            runtime=runtime,
            **options,
        )


def require_loadable(artifact: OnnxArtifact) -> None:
    """Load a file that a stranger wrote in a child first. Raises StageCrashed where that dies."""
    try:
        with IsolatedSession(artifact):
            pass
    except StageCrashed as error:
        error.hint = error.hint or "the file is not safe to load in this process"
        raise


# What follows runs in the child, which holds one session.
_session: list[plugins.Session] = []


def _ready(_: object, runtime: str) -> tuple[None, dict[str, Any]]:
    plugins.runtime(runtime)
    return None, {}


def _load(
    _: object, path: str, signature: str, runtime: str, device: str
) -> tuple[str, dict[str, Any]]:
    session = plugins.runtime(runtime).load(open_artifact(path, signature), device)
    _session[:] = [session]
    return session.device, {}


def _run(feeds: Mapping[str, np.ndarray]) -> tuple[None, dict[str, np.ndarray]]:
    return None, _session[0].run(feeds)


def _seconds(feeds: Mapping[str, np.ndarray], runs: int) -> tuple[list[float], dict[str, Any]]:
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        _session[0].run(feeds)
        taken.append(time.perf_counter() - start)
    return taken, {}
