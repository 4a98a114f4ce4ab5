"""Sends what libraries print, natively too, to a log file instead of the terminal.

A log may travel with a bundle, so it is rid of the folders of the machine that wrote it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Redirect the file descriptors of stdout and stderr to the end of `log`.

    Descriptors and not `sys.stdout`: torch's C++ and the handlers that loggers made at import
    write past Python. It holds for the whole process, so not for use from several threads.
    """
    with log.open("ab") as file:
        _flush()
        saved = [os.dup(fd) for fd in (1, 2)]
        try:
            for fd in (1, 2):
                os.dup2(file.fileno(), fd)
            yield
        finally:
            _flush()
            for fd, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, fd)
                os.close(copy)
            _forget_folders(log)


def _forget_folders(log: Path) -> None:
    """Replace the places of this machine by names: `<python>/lib/...`, `<here>/model.py`."""
    text = log.read_bytes()
    places = {
        sys.prefix: "<python>",
        sys.base_prefix: "<python>",
        str(Path.cwd()): "<here>",
        str(Path.home()): "<home>",
    }
    for folder in sorted(places, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(os.fsencode(folder), places[folder].encode())
    log.write_bytes(text)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
