"""A module held to a signature: how inputs reach it, and what its outputs are called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.examples import draw
from toolkit.model import Flat, LoadedModel, held_to, observed, to_array, to_tensor
from toolkit.signature import Signature, TensorSpec
from toolkit.structure import flatten

T = torch.zeros(2)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Result:
    scores: Any
    cache: Any = None


class Function(nn.Module):
    """A module whose forward is the given function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


def seen(function: Callable[..., Any], signature: str) -> Signature:
    model = LoadedModel(Function(function).eval(), Signature.parse(signature), "f")
    return observed(model).signature


def outputs(function: Callable[..., Any], signature: str) -> list[str]:
    lines = str(seen(function, signature)).splitlines()
    return [line.removeprefix("-> ") for line in lines if line.startswith("-> ")]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        pytest.param(T, ["output"], id="tensor"),
        pytest.param((T, T), ["output_0", "output_1"], id="tuple"),
        pytest.param([T], ["output_0"], id="list"),
        pytest.param({"a": T, "b": T}, ["a", "b"], id="dict"),
        pytest.param({"a": {"b": T, "c": (T, T)}}, ["a.b", "a.c.0", "a.c.1"], id="nested"),
        pytest.param((T, {"a": T}), ["output_0", "output_1.a"], id="dict in a tuple"),
        pytest.param(Pair(T, [T]), ["first", "second.0"], id="named tuple"),
        pytest.param(Result(T, Pair(T, T)), ["scores", "cache.first", "cache.second"], id="class"),
        pytest.param(Result(T), ["scores"], id="None in a class"),
        pytest.param((None, T), ["output_1"], id="None in a tuple"),
        pytest.param({0: T}, ["0"], id="key that is no text"),
        pytest.param(torch.zeros(2, 2).max(1), ["output_0", "output_1"], id="torch.return_types"),
    ],
)
def test_outputs_are_named_by_their_path(value: Any, names: list[str]) -> None:
    assert [name for name, _ in flatten(value)] == names


def test_names_that_forward_does_not_know_go_by_position() -> None:
    signature = Signature.parse("left: float32[2]; right: float32[2]")
    flat = Flat(Function(lambda a, b: a - b), signature)
    assert flat(T + 3, T + 1)[0].tolist() == [2, 2]


def test_names_of_forward_go_by_keyword() -> None:
    signature = Signature.parse("b: float32[2]; a: float32[2]")
    flat = Flat(Function(lambda a, b, c=None: {"d": a - b, "none": c}), signature)
    assert flat(T + 1, T + 3)[0].tolist() == [2, 2]


def test_optional_inputs_may_be_left_out() -> None:
    signature = Signature.parse("a: float32[2]; c: float32[2]")
    flat = Flat(Function(lambda a, b=None, *, c: a - c), signature)
    assert flat(T + 3, T + 1)[0].tolist() == [2, 2]


def test_a_name_at_the_wrong_position_is_a_slip() -> None:
    signature = Signature.parse("left: float32[2]; a: float32[2]")
    message = r"input 'a' is number 2 of the signature and number 1 of forward\(a, b\)"
    with pytest.raises(InputError, match=message):
        Flat(Function(lambda a, b: a - b), signature)


BATCH = "x: float32[batch, 4]; where batch = 1..16"


@pytest.mark.parametrize(
    ("function", "signature", "expected"),
    [
        pytest.param(lambda x: x, BATCH, ["output: float32[batch, 4]"], id="the same"),
        pytest.param(lambda x: x.sum(), BATCH, ["output: float32[]"], id="a scalar"),
        pytest.param(lambda x: x.T, BATCH, ["output: float32[4, batch]"], id="transposed"),
        pytest.param(lambda x: x.argmax(1), BATCH, ["output: int64[batch]"], id="another dtype"),
        pytest.param(lambda x: {"x": x}, BATCH, ["x_out: float32[batch, 4]"], id="an input's name"),
        pytest.param(
            lambda x: {"a.b": torch.cat([x, x])}, BATCH, ["a.b: float32[a_b_0, 4]"], id="derived"
        ),
        pytest.param(
            lambda x: torch.einsum("nij,mi->jmn", x, x[..., 0]),
            "x: float32[n, h, w]; where n = 1..4, h = 3..9, w = 3..9",
            ["output: float32[w, n, n]"],
            id="several dimensions",
        ),
        pytest.param(
            lambda x: x, "x: float32[n, 3]; where n = 3", ["output: float32[3, 3]"], id="fixed"
        ),
        pytest.param(
            lambda x: x, "x: float32[n]; where n = 1..2", ["output: float32[n]"], id="two sizes"
        ),
        pytest.param(
            lambda x: x[:, ::2],
            "x: float32[n, t]; where n = 1..4, t = 8..64 step 8",
            ["output: float32[n, output_1]"],
            id="half of a length",
        ),
    ],
)
def test_outputs_are_observed_with_the_dimensions_they_follow(
    function: Callable[[Tensor], Any], signature: str, expected: list[str]
) -> None:
    assert outputs(function, signature) == expected


def test_a_size_that_is_the_same_sum_twice_is_not_taken_for_fixed() -> None:
    signature = "new: float32[t, 4]; old: float32[p, 4]; where t = 1..4, p = 0..5"
    assert outputs(lambda new, old: torch.cat([old, new]), signature) == [
        "output: float32[output_0, 4]"
    ]


def test_another_signature_keeps_the_examples_that_fit() -> None:
    given = tuple({"x": np.ones((n, 4), np.float32)} for n in (2, 9))
    model = LoadedModel(Function(lambda x: x), Signature.parse(BATCH), "f", examples=given)
    less = held_to(model, Signature.parse("x: float32[n, 4]; where n = 1..4"))
    assert [len(feed["x"]) for feed in less.examples] == [2]
    assert str(less.signature).endswith("-> output: float32[n, 4]")


def test_a_size_that_grows_slowly_is_not_taken_for_fixed() -> None:
    sizes = "x: float32[batch, samples]; where batch = 1..4, samples = 640..6400"
    assert outputs(lambda x: x[:, ::64], sizes) == ["output: float32[batch, output_1]"]


def test_whole_frames_are_not_taken_for_all_samples() -> None:
    sizes = "x: float32[batch, samples]; where batch = 1..4, samples = 2048..8192"
    assert outputs(lambda x: x.unfold(1, 512, 512).flatten(1), sizes) == [
        "output: float32[batch, output_1]"
    ]


def test_what_falls_out_only_where_two_rows_are_the_same_is_no_fixed_size() -> None:
    def first_of_each(x: Tensor) -> Tensor:
        same = (x[:, None] == x).all(-1).triu(1).any(0)
        return x[~same]

    assert outputs(first_of_each, "x: float32[n, 4] in 0..1; where n = 1..9") == [
        "output: float32[output_0, 4]"
    ]


def test_a_branch_of_torchs_own_is_observed_too() -> None:
    def chosen(x: Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: (x + 1,), lambda x: (x - 1,), (x,))

    assert outputs(chosen, BATCH) == ["output_0: float32[batch, 4]"]


def test_a_declared_output_keeps_its_name_and_the_names_of_its_sizes() -> None:
    declared = "-> doubled: float32[rows, 4]"
    assert outputs(lambda x: torch.cat([x, x]), f"{BATCH}; {declared}") == [declared[3:]]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("y: float64[batch, 4]", "output 'y' is declared float64['batch', 4]"),
        ("y: float32[batch]", "output 'y' is declared float32['batch']"),
        ("y: float32[batch, 5]", "output 'y' is declared float32['batch', 5]"),
        ("y: float32[7, 4]", "output 'y' is declared float32[7, 4]"),
        ("y: float32[rows, batch]", "output 'y' is declared float32['rows', 'batch']"),
        ("y: float32[batch, 4]; -> z: float32[]", "the signature declares 2 outputs"),
    ],
)
def test_refuses_a_declared_output_that_the_model_contradicts(declared: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        seen(lambda x: x, f"{BATCH}; -> {declared}")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.reshape(3, 7), "PyTorch itself refuses x [5, 4]: shape '[3, 7]' is invalid"),
        (lambda x: x if len(x) == 5 else x @ x, "PyTorch itself refuses x [7, 4]: "),
        (lambda x: None, "the model returns no tensor"),
        (lambda x: x.to(torch.float8_e5m2), "the model returns float8_e5m2 tensors"),
        (lambda x: {"x": x, "y": x if len(x) > 5 else None}, "depends on its input: 'y' is there"),
        (lambda x: {"x": x, "y": x if len(x) < 6 else None}, "'y' is not there for some"),
        (lambda x: x.sum() if len(x) > 5 else x, "has 2 dimensions at one size and 0 at another"),
    ],
)
def test_refuses_a_model_that_does_not_run_as_its_signature_promises(
    function: Callable[[Tensor], Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        seen(function, BATCH)
    assert message in caught.value.message


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_dtype_go_to_tensors_and_back(dtype: str) -> None:
    array = draw(TensorSpec("x", dtype, (2, 3)), (2, 3), "uniform", np.random.default_rng(0))
    tensor = to_tensor(array, dtype)
    assert str(tensor.dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(to_array(tensor), array)


TREE = "x: float32[batch, nodes] in data; where batch = 1..8, nodes = 1..8"


def on_examples(function: Callable[[Tensor], Any], *shapes: tuple[int, int]) -> list[str]:
    given = tuple({"x": np.ones(shape, np.float32)} for shape in shapes)
    signature = Signature.parse(TREE)
    model = LoadedModel(Function(function).eval(), signature, "f", examples=given)
    return [str(s.shape) for s in observed(model).signature.outputs]


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda x: x.T, [(2, 3), (5, 4)], "('nodes', 'batch')"),
        (lambda x: x, [(2, 3)], "('batch', 'nodes')"),
        (lambda x: x, [(3, 3)], "('output_0', 'output_1')"),
        (lambda x: x.sum(1, keepdim=True), [(1, 3)], "('batch', 'output_1')"),
        (lambda x: x.sum(1, keepdim=True), [(1, 3), (2, 3)], "('batch', 1)"),
        (lambda x: torch.cat([x, x]), [(2, 3), (4, 3)], "('output_0', 'nodes')"),
    ],
)
def test_outputs_are_observed_on_the_examples_where_values_come_from_data(
    function: Callable[[Tensor], Any], shapes: list[tuple[int, int]], expected: str
) -> None:
    assert on_examples(function, *shapes) == [expected]


def test_values_from_data_need_examples() -> None:
    with pytest.raises(InputError, match="the values of 'x' come from data only"):
        on_examples(lambda x: x)


def test_a_run_that_returns_something_else_than_was_observed_is_refused() -> None:
    flat = Flat(
        Function(lambda x: (x, x) if x.sum() > 0 else (x,)),
        Signature.parse("x: float32[2]"),
        returns=("output_0",),
    )
    assert len(flat(T)) == 1
    with pytest.raises(InputError, match="'output_1' is there for some"):
        flat(T + 1)


def test_text_among_the_outputs_is_a_note() -> None:
    signature = Signature.parse(BATCH)
    model = LoadedModel(Function(lambda x: {"x": x, "kind": "mean"}).eval(), signature, "f")
    assert observed(model).notes == ("output 'kind' is a str: it is left out",)


def test_a_tied_weight_is_known_by_all_its_names() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    found = LoadedModel(module, Signature.parse("x: float32[n, 3]; where n = 1..4"), "here")
    assert sorted(found.weights()) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_the_size_of_a_model_counts_what_is_tied_once_and_buffers_too() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    module[1].weight = module[0].weight
    tensors = 4 * (16 + 4 + 4 + 4 * 4) + 8  # float32, and one int64 that counts batches
    signature = Signature.parse("x: float32[batch, 4]\nwhere batch = 1..8")
    assert LoadedModel(module.eval(), signature, "m.py:m").size == tensors
