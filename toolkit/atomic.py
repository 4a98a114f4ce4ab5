"""Files and folders appear whole or not at all: written beside their place, then renamed into it.

What an interrupted process (even a killed one) leaves is a hidden `.NAME.PID.tmp` beside the
target; the next write to the same target removes it.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import InputError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to; it becomes `target` when the block ends, and is removed when it raises.

    Write one file or make one folder there. Raises InputError where the folder of `target` is
    missing or not writable.
    """
    target = Path(target)
    _require_writable(target)
    _remove_leftovers(target)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    _remove(scratch)  # of a dead process that had our number
    try:
        yield scratch
        _put_in_place(scratch, target)
    finally:
        _remove(scratch)


@contextmanager
def workspace(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, on the same file system, removed when the block ends."""
    target = Path(target)
    _require_writable(target)
    _remove_leftovers(target)
    folder = target.with_name(f".{target.name}.work.{os.getpid()}.tmp")
    _remove(folder)
    try:
        folder.mkdir()
    except OSError as error:
        raise InputError(
            f"cannot write in folder '{target.parent}': {error.strerror}",
            "name an output elsewhere",
        ) from error
    try:
        yield folder
    finally:
        _remove(folder)


def _require_writable(target: Path) -> None:
    parent = target.parent
    if not parent.is_dir():
        raise InputError(f"folder '{parent}' does not exist", "create it, or name another output")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"folder '{parent}' is not writable", "name an output elsewhere")


def _remove_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        pid = leftover.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            _remove(leftover)


def _alive(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill(pid, 0) would end that process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _put_in_place(scratch: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(scratch, target)
    elif not scratch.is_dir():
        raise InputError(f"'{target}' is a folder", "name a file inside it")
    elif not _exchange(scratch, target):
        # No atomic exchange of folders here: for a moment there is neither, never half of one.
        old = target.with_name(f".{target.name}.{os.getpid()}.old.{os.getpid()}.tmp")
        os.rename(target, old)
        os.rename(scratch, target)
        _remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step: renameat2(RENAME_EXCHANGE), Linux only."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
