"""Which functions a model is made of, and the syntax that each comes from."""

import ast
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exporters.rewrites.control import functions


def halved(x: Tensor) -> Tensor:
    return x / 2


class Saving(nn.Module):
    """What forward names is reached: by call, by text, by a class; what saves and loads is not."""

    def __init__(self) -> None:
        super().__init__()
        self.way = "doubled"

    @property
    def scale(self) -> float:
        return 2.0

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, "doubled")(Turned()(halved(x)))  # noqa: B009

    def doubled(self, x: Tensor) -> Tensor:
        return x * self.scale

    def save(self, path: str) -> None:
        torch.save(written(self), path)


def written(module: nn.Module) -> Any:
    return module.state_dict()


class Turned:
    def __call__(self, x: Tensor) -> Tensor:
        return self.turn(x)

    def turn(self, x: Tensor) -> Tensor:
        return x.flip(0)

    def load(self, path: str) -> Tensor:
        found: Tensor = torch.load(path)
        return found


def test_functions_are_those_that_a_call_can_reach() -> None:
    found = {f.__qualname__ for f in functions.functions(nn.Sequential(Saving()))}
    reached = {"Saving.forward", "Saving.doubled", "Saving.scale", "Turned.turn", "halved"}
    assert reached < found
    assert not found & {"Saving.save", "Turned.load", "written"}


def wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Nested:
    @wrapping
    @functools.lru_cache  # noqa: B019
    def method(self, x: int) -> str:
        text = """a text
that begins at the margin"""
        return text * x


def test_the_syntax_of_a_method_is_found_by_its_place_decorators_and_all() -> None:
    method: Any = Nested.__dict__["method"].__wrapped__.__wrapped__
    found = functions._definition(method.__code__)
    assert found is not None
    assert (found.name, len(found.decorator_list)) == ("method", 2)
    assert found.decorator_list[0].lineno == method.__code__.co_firstlineno
    assert ast.unparse(found.body[0]).endswith("'a text\\nthat begins at the margin'")


def test_a_function_within_a_function_is_not_taken_for_the_one_around_it() -> None:
    def inner(x: int) -> int:
        return x + 1

    found = functions._definition(inner.__code__)
    assert found is not None
    assert found.name == "inner"
    assert found.lineno == inner.__code__.co_firstlineno


def test_code_without_a_file_has_no_syntax() -> None:
    assert functions._definition(compile("def f(): pass", "<nowhere>", "exec")) is None
