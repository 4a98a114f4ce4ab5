"""What the operators of a module are told as it runs once: slopes, epsilons, kinds of Gelu."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from runtimes.recording import following, plainly
from toolkit.parity.operators import ARGUMENTS, Told


def told(module: nn.Module, run: Callable[[], object]) -> list[Told]:
    """Each once, as `run`, which calls `module`, tells it; nothing where it cannot be watched.

    Of a kind of operator that a mode does not see, such as one of several graphs, a run fails.
    """
    listener = _Listener()
    try:
        with following(module, listener.entering, listener.leaving), plainly(), listener:
            run()
    except Exception:  # what a mode or a hook does to a module is not its fault
        return []
    return list(listener.found)


class _Listener(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.found: dict[Told, None] = {}
        self._stack: list[str] = [""]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: to keep dynamo out of the mode, torch would import it first, which takes 4 s."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(getattr(func, "overloadpacket", func)).rpartition(".")[2].removesuffix("_")
        if name in ARGUMENTS:
            said = _said(func, args, kwargs or {})
            for argument in ARGUMENTS[name]:
                value = argument if isinstance(argument, float) else said.get(argument)
                if isinstance(value, (str, int, float)):
                    told = value if isinstance(value, str) else float(value)
                    self.found[Told(self._stack[-1], name, str(argument), told)] = None
        return func(*args, **(kwargs or {}))

    def entering(self, name: str) -> Callable[..., None]:
        def enter(*_: object) -> None:
            self._stack.append(name)

        return enter

    def leaving(self, *_: object) -> None:
        self._stack.pop()


def _said(func: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a call by name, with the defaults of those that it leaves out."""
    names = [(a.name, a.default_value) for a in func._schema.arguments]
    given = dict(zip((name for name, _ in names), args, strict=False))
    return dict(names) | given | dict(kwargs)
