"""What the benchmarks that judge thousands of files share: a copy of the process for each, results
kept as they come, and sessions without a process of their own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def in_child(what: str, work: Callable[[], Row], limit: float) -> tuple[Row | None, bool]:
    """What `work` returns, in a copy of this process: what is loaded is loaded once, and a crash
    ends one case only. None where it died; with it, whether it took longer than `limit` seconds."""
    from toolkit import forked
    from toolkit.errors import StageCrashed

    start = time.monotonic()
    try:
        return forked.call(what, work, log=Path(os.devnull), timeout=limit), False
    except StageCrashed:
        return None, time.monotonic() - start >= limit


def rows(path: Path) -> Iterator[Row]:
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def since(start: float) -> float:
    return round(time.perf_counter() - start, 2)


def without_processes() -> None:
    """From now on a check runs its file in this process: a fresh one takes half a second."""
    from toolkit import plugins
    from toolkit.pipeline import candidates

    @contextmanager
    def here(artifact: Any, *, runtime: str, device: str, **_: Any) -> Iterator[Any]:
        yield plugins.runtime(runtime).load(artifact, device)

    vars(candidates)["IsolatedSession"] = here
