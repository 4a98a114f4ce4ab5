"""Examples as users write them: by name, by position, one or several, in files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.given import read
from toolkit.signature import Signature

SIGNATURE = Signature.parse("a: float32[n, 2]; b: int64[n]; where n = 1..8")
A, B = torch.ones(3, 2), torch.arange(3)


class Both(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b[:, None]


class One(nn.Module):
    def forward(self, a: Tensor) -> Tensor:
        return a


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
    _, feeds = read(examples, Both(), SIGNATURE)
    assert [SIGNATURE.validate(feed)["n"] for feed in feeds] == sizes
    assert all(list(feed) == ["a", "b"] for feed in feeds)


def test_a_lone_tensor_is_the_example_of_the_only_input() -> None:
    _, (feed,) = read(A, One(), Signature.parse("a: float32[3, 2]"))
    np.testing.assert_array_equal(feed["a"], A)


def test_an_example_is_a_copy() -> None:
    tensor = torch.zeros(3, 2)
    _, (feed,) = read(tensor, One(), Signature.parse("a: float32[3, 2]"))
    tensor += 1
    assert not feed["a"].any()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((A,), "does not take the example"),
        ({"a": A}, "input 'b' is missing"),
        ({"a": A, "b": B, "c": B}, "there is no input 'c'"),
        ((A.double(), B), "input 'a' is float64, expected float32"),
        ((A, B[:2]), r"input 'b' has shape \[2\]"),
        ((A, 5), "an example has 1 inputs, the signature 2"),
    ],
)
def test_refuses_an_example_that_does_not_fit(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(example, Both(), SIGNATURE)


class Structured(nn.Module):
    def forward(self, batch: dict[str, Tensor], mode: str = "sum") -> Tensor:
        return batch["a"].sum() + batch["b"].sum()


PATHS = Signature.parse("batch.b: int64[n]; batch.a: float32[n, 2]; where n = 1..8")


def test_a_structured_example_shows_the_call_and_its_constants() -> None:
    call, (feed,) = read(({"a": A, "b": B}, "mean"), Structured(), PATHS)
    assert list(feed) == ["batch.b", "batch.a"]
    assert call is not None
    (batch, mode), _ = call.arguments([B, A])
    assert list(batch) == ["a", "b"]
    assert batch["a"] is A
    assert mode == "mean"


def test_an_example_by_input_name_shows_no_call() -> None:
    call, _ = read({"batch.a": A, "batch.b": B}, Structured(), PATHS)
    assert call is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (({"a": A, "b": B}, "max"), "'mode' is 'mean' in one example and 'max' in another"),
        (({"a": A, "c": B}, "mean"), "examples have other inputs: 'batch.b' is in some"),
    ],
)
def test_examples_differ_in_nothing_but_their_tensors(other: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read([({"a": A, "b": B}, "mean"), other], Structured(), PATHS)


def test_a_complex_example_is_given_as_pairs() -> None:
    signature = Signature.parse("a: float32[n, 2]; where n = 1..8")
    call, (feed,) = read(torch.ones(3, dtype=torch.complex64), One(), signature)
    assert feed["a"].tolist() == [[1, 0]] * 3
    assert call is not None
    assert call.arguments([A])[0][0].is_complex()


def test_an_example_may_be_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", b=B.numpy(), a=A.numpy())
    np.savez(tmp_path / "ordered.npz", A.numpy(), B.numpy())
    _, feeds = read([tmp_path / "named.npz", tmp_path / "ordered.npz"], Both(), SIGNATURE)
    assert [list(feed) for feed in feeds] == [["a", "b"], ["a", "b"]]
    assert feeds[1]["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"text", b"PK"])
def test_refuses_a_file_that_holds_no_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match="is not a file of arrays"):
        read(tmp_path / "x.npz", One(), SIGNATURE)
