"""Examples as users write them: by name, by position, one or several."""

from typing import Any

import numpy as np
import pytest
import torch

from toolkit.errors import InputError
from toolkit.given import as_feeds
from toolkit.signature import Signature

SIGNATURE = Signature.parse("a: float32[n, 2]; b: int64[n]; where n = 1..8")
A, B = torch.ones(3, 2), torch.arange(3)


@pytest.mark.parametrize(
    ("examples", "sizes"),
    [
        pytest.param((A, B), [3], id="a tuple in the order of the inputs"),
        pytest.param({"b": B, "a": A}, [3], id="a mapping by name"),
        pytest.param({"b": B.numpy(), "a": A.numpy()}, [3], id="arrays"),
        pytest.param([(A, B), (A[:2], B[:2])], [3, 2], id="several"),
        pytest.param([], [], id="none"),
    ],
)
def test_examples_become_arrays_by_input_name(examples: Any, sizes: list[int]) -> None:
    feeds = as_feeds(examples, SIGNATURE)
    assert [SIGNATURE.validate(feed)["n"] for feed in feeds] == sizes
    assert all(list(feed) == ["a", "b"] for feed in feeds)


def test_a_lone_tensor_is_the_example_of_the_only_input() -> None:
    (feed,) = as_feeds(A, Signature.parse("a: float32[3, 2]"))
    np.testing.assert_array_equal(feed["a"], A)


def test_an_example_is_a_copy() -> None:
    tensor = torch.zeros(3, 2)
    (feed,) = as_feeds(tensor, Signature.parse("a: float32[3, 2]"))
    tensor += 1
    assert not feed["a"].any()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((A,), "an example has 1 inputs, the signature 2"),
        ({"a": A}, "input 'b' is missing"),
        ({"a": A, "b": B, "c": B}, "there is no input 'c'"),
        ((A.double(), B), "input 'a' is float64, expected float32"),
        ((A, B[:2]), r"input 'b' has shape \[2\]"),
        ((A, 5), "the example of 'b' is a int"),
    ],
)
def test_refuses_an_example_that_does_not_fit(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_feeds(example, SIGNATURE)
