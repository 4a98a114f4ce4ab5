"""A call in a copy of this process: it sees all that is loaded; a crash or a hang ends only it.

For work on objects that cannot be sent to a fresh interpreter (`toolkit.isolation` has those): a
module of the caller's, whose class may be defined anywhere. Pages are shared until written, so the
weights are not copied. Where there is no safe fork (Windows, macOS, a process that uses CUDA, whose
driver does not survive it) the call is made in this process, without limits.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

from toolkit.crash import described, died, translated
from toolkit.isolation import die_with_parent, limit_memory
from toolkit.quiet import printing_to
from toolkit.threads import one_thread_less


def call(
    what: str,
    function: Callable[[], Any],
    *,
    log: Path,
    timeout: float | None = None,
    memory: int | None = None,
    meanwhile: Iterable[None] = (),
) -> Any:
    """What `function` returns (as JSON holds it). What it prints is added to `log`.

    `what` names the work in errors; `timeout` in seconds; `memory`: bytes that the child may take
    beyond what this process has; `meanwhile`: what this process does as long as it has to wait, in
    steps (none where no copy can be made). Raises what the function raised where that is an
    OnnxportError, else StageCrashed: also where the child died, ran out of memory or of time.
    """
    if not _safe():
        with printing_to(log):
            return json.loads(json.dumps(function()))
    log.touch()
    start = log.stat().st_size
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: threads and fork
        pid = os.fork()
    if pid == 0:
        os.close(read)
        _serve(function, write, log, memory)
    os.close(write)
    try:
        text, expired = _read(read, timeout, meanwhile)
    except BaseException:
        _kill(pid)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(read)
    if expired:
        _kill(pid)
    _, status = os.waitpid(pid, 0)
    if not text or expired:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - (1 << 16)))
            tail = file.read().decode(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        raise died(what, code, tail, timeout=timeout if expired else None, memory=memory)
    reply = json.loads(text)
    if "error" in reply:
        raise translated(what, reply["error"], memory)
    return reply["value"]


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has no group of its own before it began
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def _safe() -> bool:
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and not (torch and torch.cuda.is_initialized())


def _serve(function: Callable[[], Any], pipe: int, log: Path, memory: int | None) -> NoReturn:
    """The child: never returns into what the parent was doing."""
    code = 1
    # What was garbage before the fork is never collected here: an ONNX Runtime session among it
    # would wait for ever for its threads, which were not copied.
    gc.freeze()
    try:
        os.setsid()  # Ctrl-C reaches the parent alone, which then ends this group
        die_with_parent()
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # libgomp waits for ever for threads that were not copied
        with printing_to(log):
            # Of its own: what stands for them here may write elsewhere (a notebook, a test).
            sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
            try:
                if memory:
                    limit_memory(_data_segment() + memory)
                reply = {"value": function()}
            except BaseException as error:
                traceback.print_exc()
                reply = {"error": described(error)}
            sys.stdout.flush()
        left = memoryview(json.dumps(reply).encode())
        while left:
            left = left[os.write(pipe, left) :]
        code = 0
    finally:
        os._exit(code)


def _read(pipe: int, timeout: float | None, meanwhile: Iterable[None]) -> tuple[bytes, bool]:
    """All that comes until the other end is closed, and whether the time ran out before that."""
    text, end = b"", None if timeout is None else time.monotonic() + timeout
    with one_thread_less() if meanwhile else nullcontext():
        for _ in meanwhile:
            if select.select([pipe], [], [], 0)[0] or (end is not None and time.monotonic() > end):
                break
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            return text, True
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            return text, False
        text += chunk


def _data_segment() -> int:
    """Bytes of data that this process has, which RLIMIT_DATA counts (VmData, proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
