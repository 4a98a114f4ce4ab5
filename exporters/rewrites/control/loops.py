"""Steps of one kind: Python's loop where their number is known, ONNX's Loop where it is not.

What changes from step to step must keep its shape and dtype. Where the first step makes it so
(a total that starts as 0, a state that starts as None) that step is traced by itself, before the
loop. What a list was given becomes one tensor (`stacked.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites.control import steps
from exporters.rewrites.control.effects import held_by
from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.sequences import Counted, counted
from exporters.rewrites.control.sizes import (
    Open,
    as_tensor,
    compared,
    condition,
    decided,
    is_of_value,
)
from exporters.rewrites.control.slots import Unsteady
from exporters.rewrites.control.variables import Variables
from toolkit.errors import ExportRefused


def each(
    iterable: Any,
    body: Callable[[Any], None],
    names: Sequence[str],
    kept: Sequence[str],
    going: Callable[[], Any] | None = None,
) -> None:
    """`for item in iterable: body(item)`. `names`: what the body assigns; `kept`: of these, what
    the next step or the code after the loop may read. `going`: false where it is left early."""
    steps_of = counted(iterable)
    if steps_of is not None:
        _run(_For(body, Variables((body,), names), kept, steps_of, going))
        return
    for item in iterable:
        if going and condition(going()) is False:
            return
        body(item)


def during(
    test: Callable[[], Any],
    body: Callable[[], None],
    names: Sequence[str],
    kept: Sequence[str],
    turns: Callable[[], tuple[Any, Any]] | None = None,
) -> None:
    """`while test(): body()`. `turns`, of a range that is left early: the next number and the end.

    A step of which it is known that it is taken is Python's, unless it appends by a value.
    """
    variables = Variables((body, test), names)
    loop = partial(_While, body, variables, kept, test, turns)
    while True:
        which = condition(test())
        if isinstance(which, Open):
            _run(loop())
            return
        if not which:
            return
        before, held = variables.read(), held_by(list(variables.in_reach().values()))
        try:
            body()
        except ExportRefused:
            if turns is None:
                raise
            held.put_back()
            variables.write(before)
            _run(loop())
            return


class _For(steps.Loop):
    def __init__(
        self,
        body: Callable[[Any], None],
        variables: Variables,
        kept: Sequence[str],
        counted: Counted,
        going: Callable[[], Any] | None,
    ) -> None:
        super().__init__(body, variables, kept)
        self.counted, self.going = counted, going
        self._end = as_tensor(counted.count) if is_of_value(counted.count) else counted.count

    def step(self, number: Any) -> None:
        self.body(self.counted.item(number))

    def goes_on(self, number: Tensor) -> Tensor:
        within: Tensor = number < self._end
        return within & decided(self.going()) if self.going else within

    def can_step(self) -> bool:
        return compared(">", self.counted.count, self.first) is True

    def limit(self) -> Any:
        return self.counted.count

    def takes_all(self) -> bool:
        return self.going is None

    @property
    def place(self) -> str:
        return _place(self.body)


class _While(steps.Loop):
    def __init__(
        self,
        body: Callable[[], None],
        variables: Variables,
        kept: Sequence[str],
        test: Callable[[], Any],
        turns: Callable[[], tuple[Any, Any]] | None,
    ) -> None:
        super().__init__(lambda _: body(), variables, kept)
        self.test, self.plain, self.turns = test, body, turns
        bounds: tuple[Any, Any] = turns() if turns else (0, None)
        self._start, self._end = bounds

    def step(self, number: Any) -> None:
        if self.turns:
            turn, end = self.turns()
            torch._check(turn >= self._start)
            if not is_of_value(end):
                torch._check(turn < end)
        self.body(number)

    def goes_on(self, number: Tensor) -> Tensor:
        return decided(self.test())

    def can_step(self) -> bool:
        return False

    def limit(self) -> Any:
        return None if self._end is None else self._end - self._start

    def takes_all(self) -> bool:
        return False

    @property
    def place(self) -> str:
        return _place(self.plain)


def _place(body: Callable[..., Any]) -> str:
    code = body.__code__
    return f"{Path(code.co_filename).name} line {code.co_firstlineno}"


def _run(loop: steps.Loop) -> None:
    before = loop.variables.read()
    while True:
        try:
            return steps.subgraph(loop)
        except Irreconcilable as error:
            if isinstance(error, Unsteady) and not loop.first and loop.can_step():
                loop.variables.write(before)
                loop.take_first()
                continue
            raise ExportRefused(
                f"the loop at {loop.place} cannot be a Loop of ONNX: {error}",
                "let each step leave every variable with the shape and dtype that it had",
            ) from error
