"""Python that comes to no end is ended: a module that loops over numbers it never gets over."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _OutOfTime(BaseException):
    """No Exception: what the loop itself catches, it would go on with."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError where the block takes longer; a call into native code is waited for.

    The exception is raised in this thread between two of its bytecodes (CPython's
    PyThreadState_SetAsyncExc).
    """
    thread, lock, over = threading.get_ident(), threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            if not over.is_set():
                _raise(thread, _OutOfTime)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        try:
            yield
        finally:
            with lock:
                over.set()
                _raise(thread, None)  # it may have come while the block ended
            timer.cancel()
    except _OutOfTime:
        raise TimeoutError(f"over {seconds:g} s") from None


def _raise(thread: int, kind: type[BaseException] | None) -> None:
    what = ctypes.py_object(kind) if kind else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
