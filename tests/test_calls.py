"""Calls of forward: what an example shows, and what the names of a signature mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from toolkit.calls import Call, described, named
from toolkit.errors import InputError
from toolkit.signature import Signature

T = torch.zeros(2)


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


@dataclass
class Batch:
    ids: Tensor
    mask: Tensor | None = None


class State(NamedTuple):
    h: Tensor
    c: Tensor


def arguments(call: Call) -> Any:
    """Of the tensors 0, 1, 2, ... in the order of the call."""
    return call.arguments([torch.tensor(float(n)) for n in range(len(call.names))])


def from_names(function: Callable[..., Any], *names: str) -> Any:
    signature = Signature.parse("; ".join(f"{name}: float32[]" for name in names))
    return arguments(named(Function(function), signature.inputs))


def two(a: Tensor, b: Tensor) -> None: ...


def structured(batch: Any, states: Any = None) -> None: ...


def annotated(batch: Batch, state: State | None = None, layers: list[Batch] | None = None) -> None:
    pass


def many(x: Tensor, *more: Tensor, **others: Tensor) -> None: ...


@pytest.mark.parametrize(
    ("function", "names", "expected"),
    [
        pytest.param(two, ["left", "right"], ((0, 1), {}), id="names that it does not know"),
        pytest.param(two, ["a", "b"], ((0, 1), {}), id="its own in order"),
        pytest.param(two, ["b", "a"], ((), {"b": 0, "a": 1}), id="its own in another order"),
        pytest.param(
            structured,
            ["batch.ids", "batch.mask"],
            ((), {"batch": {"ids": 0, "mask": 1}}),
            id="a dict",
        ),
        pytest.param(
            structured,
            ["batch", "states.0", "states.1.h"],
            ((), {"batch": 0, "states": (1, {"h": 2})}),
            id="a tuple with a dict inside",
        ),
        pytest.param(
            annotated,
            ["batch.mask", "batch.ids", "state.h", "state.c"],
            # Here and below places stand for tensors.
            ((), {"batch": Batch(1, 0), "state": State(2, 3)}),  # type: ignore[arg-type]
            id="the classes of its annotations",
        ),
        pytest.param(
            annotated,
            ["batch.ids", "layers.0.ids", "layers.1.ids"],
            ((), {"batch": Batch(0), "layers": [Batch(1), Batch(2)]}),  # type: ignore[arg-type]
            id="a list of annotated classes",
        ),
        pytest.param(two, ["a.1", "b.1"], ((0, 1), {}), id="names that TorchScript gives"),
        pytest.param(many, ["x", "more.0", "more.1"], ((0, 1, 2), {}), id="any number"),
    ],
)
def test_names_mean_a_call(function: Callable[..., Any], names: list[str], expected: Any) -> None:
    assert from_names(function, *names) == expected


def test_a_pair_by_name_is_a_complex_argument() -> None:
    inputs = Signature.parse("a.complex: float32[n, 2]; b: float32[n]; where n = 1..4").inputs
    (z, b), _ = named(Function(two), inputs).arguments([torch.ones(3, 2), torch.ones(3)])
    assert z.tolist() == [1 + 1j] * 3
    assert not b.is_complex()


def test_a_name_within_another_is_refused() -> None:
    with pytest.raises(InputError, match=r"'batch.ids' is within another"):
        from_names(structured, "batch", "batch.ids")


@pytest.mark.parametrize(
    ("function", "example", "keywords", "names"),
    [
        pytest.param(two, (T, T), {}, ["a", "b"], id="by position"),
        pytest.param(two, (T,), {"b": T}, ["a", "b"], id="by keyword"),
        pytest.param(
            structured, ({"ids": T}, (T, [T])), {}, ["batch.ids", "states.0", "states.1.0"]
        ),
        pytest.param(annotated, (Batch(T), State(T, T)), {}, ["batch.ids", "state.h", "state.c"]),
        pytest.param(many, (T, T, T), {"y": T}, ["x", "more.0", "more.1", "y"], id="any number"),
        pytest.param(two, (T, None), {}, ["a"], id="None"),
    ],
)
def test_an_example_shows_a_call(
    function: Callable[..., Any],
    example: tuple[Any, ...],
    keywords: dict[str, Any],
    names: list[str],
) -> None:
    call, tensors = described(Function(function), example, keywords)
    assert list(call.names) == names
    assert len(tensors) == len(names)


def test_what_is_no_tensor_is_a_constant_of_the_call() -> None:
    call, _ = described(Function(structured), ({"ids": T, "kind": "mean"}, 5), {})
    assert call.constants == (("batch.kind", "mean"), ("states", 5))
    assert arguments(call) == (({"ids": 0, "kind": "mean"}, 5), {})


def test_tensors_in_another_order_reach_their_places() -> None:
    call, _ = described(Function(two), (T, T), {})
    assert arguments(call.under(["b", "a"])) == ((1, 0), {})


def test_other_names_go_by_position() -> None:
    call, _ = described(Function(two), (T, T), {})
    assert arguments(call.under(["left", "right"])) == ((0, 1), {})


def test_an_example_that_forward_does_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="does not take the example: missing a required argument"):
        described(Function(two), (T,), {})
