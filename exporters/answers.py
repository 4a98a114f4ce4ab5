"""Questions about sizes, answered by what is declared: at all sizes the same, they narrow nothing.

torch.export answers by its example, and then proves that the answer holds for the whole range, or
refuses: that min(512, n // 4) is no more than n // 4 it cannot prove (topk in DeepSeek V4). And in

    if windows > 0:
        x = x.view(batch, windows, 4, -1)

it asks of the view whether there are any windows, and takes the answer for one about the whole
program, where the view is only reached if there are.

That two sizes are not equal in the example torch may take for true without more ado: to be equal
is the special case, in which axes are merged or broadcast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import sympy
import torch
from sympy.logic.boolalg import Boolean
from torch import SymBool
from torch.fx.experimental.symbolic_shapes import ShapeEnv, free_unbacked_symbols

from exporters.declared import only

_FOLDER = Path(torch.__file__).parent
_TORCHS = (f"{_FOLDER}{os.sep}", f"{Path(__file__).parent}{os.sep}")
"""Not torchvision, whose models are anybody's."""
_ON_THE_WAY = (
    __file__,
    *(str(_FOLDER / part) for part in ("fx/experimental", "utils/_stats", "__init__", "_compile")),
)
"""Of the code between a question and who asks it."""

_assumed: ContextVar[tuple[sympy.Basic, ...]] = ContextVar("assumed", default=())


@contextmanager
def assuming(test: Any, outcome: bool) -> Iterator[None]:
    """While the way of a branch is traced that is taken where the test has this outcome."""
    if not isinstance(test, SymBool) or free_unbacked_symbols(test):
        yield
        return
    expression = test.node.expr
    token = _assumed.set((*_assumed.get(), expression if outcome else sympy.Not(expression)))
    try:
        yield
    finally:
        _assumed.reset(token)


@contextmanager
def answering() -> Iterator[None]:
    """While a model of which the sizes are declared is traced."""
    torchs = ShapeEnv.evaluate_expr
    answers: dict[tuple[Any, ...], sympy.Basic | None] = {}

    def evaluate(
        self: ShapeEnv, question: sympy.Basic, *arguments: Any, **keywords: Any
    ) -> sympy.Basic:
        if isinstance(question, Boolean) and question.free_symbols:
            assumed = _assumed.get()
            if assumed or self._maybe_evaluate_static(question) is None:
                asked = (self, assumed, question)  # another program may mean another size by a name
                if asked not in answers:
                    answers[asked] = only(self, question, assumed)
                if (answer := answers[asked]) in (sympy.true, sympy.false):
                    return answer
                if isinstance(question, (sympy.Eq, sympy.Ne)) and _by_torch():
                    with self.suppress_guards():
                        answer = torchs(self, question, *arguments, **keywords)
                    if answer == isinstance(question, sympy.Ne):
                        return answer
        found: sympy.Basic = torchs(self, question, *arguments, **keywords)
        return found

    with mock.patch.object(ShapeEnv, "evaluate_expr", evaluate):
        yield


def _by_torch() -> bool:
    """Does torch ask, for itself, and not the model's code?"""
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_code.co_filename.startswith(_ON_THE_WAY):
        frame = frame.f_back
    return frame is None or frame.f_code.co_filename.startswith(_TORCHS)
