"""Native code that can crash runs here: in a child process, with a limit on time and memory.

A `Worker` is one fresh interpreter that calls functions by name ("module:function") with JSON
options and numpy arrays, and returns the same. Functions it calls take `(arrays, **options)` and
return `(value, arrays)`. What the child prints goes to its log, not to the terminal.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from toolkit.crash import described, died, translated
from toolkit.dtypes import numpy_dtype
from toolkit.errors import StageCrashed

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from toolkit.isolation import serve; serve(int(sys.argv[2]))"
)


class Reply(NamedTuple):
    value: Any
    arrays: dict[str, np.ndarray]


class Worker:
    """A child process that runs one call at a time; use it as a context manager.

    `what` names the work in error messages ("the simplifier"). `memory` is in bytes and bounds
    the child's data segment (Linux and macOS; elsewhere it is not enforced), `log` takes what the
    child prints.
    """

    def __init__(self, what: str, *, memory: int | None = None, log: Path | None = None) -> None:
        self._what = what
        self._memory = memory
        # Closed on exit: SIM115 does not see that the worker is the context manager.
        self._log: IO[bytes] = log.open("a+b") if log else tempfile.TemporaryFile()  # noqa: SIM115
        self._printed = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._owed = False
        """The child still has to answer what it was told to begin with."""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with suppress(OSError):  # what was still buffered for a process that is gone
                    pipe.close()
            self._process = None
            self._owed = False

    def begin(self, target: str, **options: Any) -> None:
        """Start the child on a call and do not wait for it; what comes of it is not told."""
        process = self._start()
        assert process.stdin is not None
        _send(process.stdin, {"target": target, "options": options}, {})
        self._owed = True

    def call(
        self,
        target: str,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        timeout: float | None = None,
        **options: Any,
    ) -> Reply:
        """Call `target` in the child (started now if it is not running).

        Raises what the child raised where that is an OnnxportError, else StageCrashed: also where
        the child died, ran out of memory, or took longer than `timeout` seconds.
        """
        process = self._process if self.alive and self._process else self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._printed = self._size()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout or 0, expire)
        timer.daemon = True
        if timeout is not None:
            timer.start()
        try:
            if self._owed:
                _receive(process.stdout)
                self._owed = False
            _send(process.stdin, {"target": target, "options": options}, arrays or {})
            header, answer = _receive(process.stdout)
        except (EOFError, OSError):
            process.wait()
            raise self._died(process.returncode, timeout if expired.is_set() else None) from None
        except BaseException:
            self.stop()
            raise
        finally:
            timer.cancel()
        if "error" in header:
            raise translated(self._what, header["error"], self._memory)
        return Reply(header["value"], answer)

    def _start(self) -> subprocess.Popen[bytes]:
        self.stop()
        command = [sys.executable, "-c", _START, json.dumps(sys.path), str(self._memory or 0)]
        # A session of its own: Ctrl-C reaches the parent alone, which then ends the child.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        return self._process

    def _died(self, code: int, timeout: float | None) -> StageCrashed:
        return died(self._what, code, self._tail(), timeout=timeout, memory=self._memory)

    def _tail(self) -> str:
        """What the child printed since the call began, the last 64 KiB of it."""
        start = max(self._printed, self._size() - (1 << 16))
        return os.pread(self._log.fileno(), 1 << 16, start).decode(errors="replace")

    def _size(self) -> int:
        return os.fstat(self._log.fileno()).st_size


def serve(memory: int) -> None:
    """The child's main loop: answer calls until the parent closes the pipe."""
    die_with_parent()
    if memory:
        limit_memory(memory)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native code prints must not end up between the replies
    while True:
        try:
            header, arrays = _receive(requests)
        except EOFError:
            return
        _send(replies, *_answered(header, arrays))
        del header, arrays  # nothing large is held while the parent works


def _answered(
    header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        module, _, name = header["target"].partition(":")
        function = getattr(importlib.import_module(module), name)
        value, answer = function(arrays, **header["options"])
    except Exception as error:
        return {"error": described(error)}, {}
    return {"value": value}, answer


def die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, linux/prctl.h


def limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    # The data segment, not the address space: shared libraries and mapped files do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _send(pipe: IO[bytes], header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    contiguous = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    header["arrays"] = [(n, str(arrays[n].dtype), arrays[n].shape) for n in contiguous]
    text = json.dumps(header).encode()
    pipe.write(len(text).to_bytes(8, "little") + text)
    for array in contiguous.values():
        pipe.write(array.reshape(-1).view(np.uint8).data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    header = json.loads(_read(pipe, int.from_bytes(_read(pipe, 8), "little")))
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        arrays[name] = np.empty(shape, numpy_dtype(dtype))
        _fill(pipe, arrays[name].reshape(-1).view(np.uint8).data)
    return header, arrays


def _fill(pipe: IO[bytes], buffer: memoryview) -> None:
    while buffer.nbytes:
        count = pipe.readinto(buffer)  # type: ignore[attr-defined]  # typeshed's IO lacks it
        if not count:
            raise EOFError
        buffer = buffer[count:]


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
