"""Structured values: taken apart into tensors with paths for names, and made again."""

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

from toolkit.errors import InputError
from toolkit.structure import Parts, flatten, taken_apart

T = torch.zeros(2)
Z = torch.zeros(2, dtype=torch.complex64)
Point = namedtuple("Point", "x y")


@dataclass
class Batch:
    ids: Any
    mask: Any = None

    def __post_init__(self) -> None:
        self.computed = "by the constructor"


class Output(OrderedDict[str, Any]):
    """A mapping that torch does not know."""


class Cache:
    """A class of a library, registered with torch."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers


def _named_layers(cache: Cache) -> tuple[list[Any], None]:
    return [(pytree.GetAttrKey("layers"), cache.layers)], None


pytree.register_pytree_node(
    Cache,
    lambda cache: ([cache.layers], None),
    lambda values, _: Cache(*values),
    flatten_with_keys_fn=_named_layers,
)


class Nameless(Cache):
    """Registered without the names of its parts."""


pytree.register_pytree_node(
    Nameless, lambda cache: ([cache.layers], None), lambda values, _: Nameless(*values)
)


def names(value: Any) -> list[str]:
    parts = Parts()
    taken_apart(value, "a", parts)
    return [name for name, _ in parts.tensors]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(T, ["a"], id="tensor"),
        pytest.param(np.zeros(2), ["a"], id="array"),
        pytest.param(Z, ["a.complex"], id="complex tensor"),
        pytest.param([T, (T, None)], ["a.0", "a.1.0"], id="list and tuple"),
        pytest.param({"ids": T, "n": 5, 7: T}, ["a.ids", "a.7"], id="dict"),
        pytest.param(Point(T, [T]), ["a.x", "a.y.0"], id="named tuple"),
        pytest.param(Batch(T, Batch(T)), ["a.ids", "a.mask.ids"], id="dataclass"),
        pytest.param(Output(x=T), ["a.x"], id="mapping that torch does not know"),
        pytest.param(UserDict(x=T), ["a.x"], id="mapping that is no dict"),
        pytest.param(Cache([(T, T)]), ["a.layers.0.0", "a.layers.0.1"], id="registered"),
        pytest.param(Nameless([T]), ["a.0.0"], id="registered without names"),
    ],
)
def test_tensors_are_named_by_their_path(value: Any, expected: list[str]) -> None:
    assert names(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        (T, {"b": [T], "c": None, "d": "text"}),
        Point(T, 3),
        Batch(T, (T, T)),
        Output(x=T, y=1.5),
        UserDict(x=T),
        torch.zeros(2, 2).max(1),
        Cache([T, T]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_structure_is_made_again_of_the_same_kind_with_other_tensors(value: Any) -> None:
    parts = Parts()
    make = taken_apart(value, "a", parts)
    again = make(iter([t + 1 for _, t in parts.tensors]))
    assert type(again) is type(value)
    seen = Parts()
    taken_apart(again, "a", seen)
    assert [n for n, _ in seen.tensors] == [n for n, _ in parts.tensors]
    assert seen.constants == parts.constants
    assert all(
        torch.equal(new, old + 1)
        for (_, old), (_, new) in zip(parts.tensors, seen.tensors, strict=True)
    )


def test_a_complex_tensor_is_made_again_of_its_pairs() -> None:
    parts = Parts()
    make = taken_apart({"z": Z + 1j}, "a", parts)
    ((name, pairs),) = parts.tensors
    assert name == "a.z.complex"
    assert pairs.tolist() == [[0, 1], [0, 1]]
    assert torch.equal(make(iter([pairs]))["z"], Z + 1j)


def test_a_dataclass_keeps_what_its_constructor_computed() -> None:
    batch = Batch(T)
    batch.computed = "later"
    assert taken_apart(batch, "a", Parts())(iter([T])).computed == "later"


def test_refuses_an_object_that_may_hide_tensors() -> None:
    with pytest.raises(InputError, match=r"'a.state' is a object, whose tensors cannot be seen"):
        taken_apart({"state": object()}, "a", Parts())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "int64"),
        (2.5, "float64"),
        (True, "bool"),
    ],
)
def test_a_number_that_is_returned_is_a_tensor_without_dimensions(
    value: Any, expected: str
) -> None:
    ((name, tensor),) = flatten({"n": value})
    assert (name, str(tensor.dtype), tensor.shape, tensor.item()) == (
        "n",
        f"torch.{expected}",
        (),
        value,
    )


def test_a_complex_output_is_returned_as_pairs() -> None:
    assert [(n, tuple(t.shape)) for n, t in flatten((Z, T))] == [
        ("output_0.complex", (2, 2)),
        ("output_1", (2,)),
    ]


def test_text_that_is_returned_is_left_out_and_said() -> None:
    left_out: list[str] = []
    assert [name for name, _ in flatten({"kind": "mean", "x": T}, left_out=left_out)] == ["x"]
    assert left_out == ["'kind' is a str: it is left out"]


def test_refuses_to_return_an_object() -> None:
    with pytest.raises(InputError, match="the model returns a object as 'state'"):
        flatten({"state": object()})
