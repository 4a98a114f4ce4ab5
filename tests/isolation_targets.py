"""What the tests of isolation call in the child process."""

import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.errors import MissingError

Arrays = Mapping[str, np.ndarray]
Answer = tuple[Any, Arrays]


def echo(arrays: Arrays, **options: Any) -> Answer:
    return options, arrays


def process(arrays: Arrays) -> Answer:
    return os.getpid(), {}


def lacks(arrays: Arrays) -> Answer:
    raise MissingError("no such device", "buy one")


def divides(arrays: Arrays) -> Answer:
    raise ZeroDivisionError("by zero")


def aborts(arrays: Arrays, says: str = "") -> Answer:
    print(says, flush=True)
    os.abort()


def ends(arrays: Arrays) -> Answer:
    raise SystemExit(7)


def is_killed(arrays: Arrays) -> Answer:
    os.kill(os.getpid(), signal.SIGKILL)
    return None, {}


def waits(arrays: Arrays) -> Answer:
    threading.Event().wait()
    return None, {}


def python_memory(arrays: Arrays) -> Answer:
    return len(bytearray(1 << 36)), {}


def numpy_memory(arrays: Arrays) -> Answer:
    return None, {"big": np.ones(1 << 33)}


def prints(arrays: Arrays, text: str) -> Answer:
    print(text, end="", flush=True)
    os.write(1, text.encode())
    os.write(2, text.encode())
    return text, arrays
