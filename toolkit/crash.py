"""How a child process ended, as an error of ours; and an error as it crosses to the parent."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any

from toolkit import errors
from toolkit.errors import OnnxportError, StageCrashed


def described(error: BaseException) -> dict[str, Any]:
    """An error as JSON: its type, message, hint, and what else it carries that JSON holds."""
    facts = {k: v for k, v in vars(error).items() if k not in ("message", "hint") and _is_json(v)}
    message = error.message if isinstance(error, OnnxportError) else str(error)
    hint = error.hint if isinstance(error, OnnxportError) else ""
    return {"type": type(error).__name__, "message": message, "hint": hint, "facts": facts}


def translated(what: str, error: Mapping[str, Any], memory: int | None) -> OnnxportError:
    """The error that a child described; StageCrashed where it is none of ours."""
    kind = getattr(errors, error["type"], None)
    if isinstance(kind, type) and issubclass(kind, OnnxportError):
        found = kind(error["message"], error["hint"])
        vars(found).update(error["facts"])
        return found
    if error["type"] == "MemoryError":
        return out_of_memory(what, memory)
    return StageCrashed(
        f"{what} failed: {error['type']}: {error['message']}",
        "the model is unchanged; see the log for the rest",
    )


def died(
    what: str, code: int, tail: str, *, timeout: float | None, memory: int | None
) -> StageCrashed:
    """`code` as subprocess has it (negative: a signal), `tail`: what the child printed last.

    `timeout`: given where that was what ended it.
    """
    if timeout is not None:
        return StageCrashed(
            f"{what} took longer than {timeout:g} s and was stopped",
            "allow more with --time-limit",
        )
    if code == -signal.SIGKILL or any(w in tail for w in ("bad_alloc", "MemoryError")):
        return out_of_memory(what, memory)
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    last = tail.strip().splitlines()[-1:] or ["it printed nothing"]
    return StageCrashed(f"{what} crashed ({cause})", last[0][:300])


def out_of_memory(what: str, memory: int | None) -> StageCrashed:
    limit = f" (its limit is {memory / 2**30:.1f} GiB)" if memory else ""
    return StageCrashed(f"{what} ran out of memory{limit}", "raise --memory-limit")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
