"""The eager module as a runtime: its own precision, float64, and the devices that it has."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flexes
from torch.nn.attention.flex_attention import flex_attention

from runtimes.pytorch import PyTorch, PyTorchFloat64
from tests import models
from tests.graphs import saved
from toolkit import source
from toolkit.errors import InputError, MissingError

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def test_gives_what_the_module_gives() -> None:
    model = source.load(models.linear())
    with torch.no_grad():
        expected = model.module(torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(PyTorch().load(model, "cpu").run({"x": X})["output"], expected)


def test_outputs_have_the_names_and_dtypes_of_the_signature() -> None:
    model = source.load(models.tokens())
    ones = np.ones((2, 5), np.int64)
    outputs = PyTorch().load(model, "cpu").run({"ids": ones, "mask": ones})
    assert {n: str(a.dtype) for n, a in outputs.items()} == {"logits": "float32", "best": "int64"}


def test_float64_computes_in_float64_what_float32_rounds() -> None:
    model = source.load(models.linear())
    weight, bias = (p.detach().numpy().astype(np.float64) for p in model.module.parameters())
    exact = PyTorchFloat64().load(model, "cpu").run({"x": X})["output"]
    np.testing.assert_allclose(exact, X.astype(np.float64) @ weight.T + bias, rtol=0, atol=1e-15)


def test_float64_leaves_the_module_as_it_is() -> None:
    model = source.load(models.linear())
    PyTorchFloat64().load(model, "cpu").run({"x": X})
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}


def test_float64_leaves_integer_inputs_as_they_are() -> None:
    model = source.load(models.tokens())
    ones = np.ones((2, 5), np.int64)
    outputs = PyTorchFloat64().load(model, "cpu").run({"ids": ones, "mask": ones})
    assert {n: str(a.dtype) for n, a in outputs.items()} == {"logits": "float64", "best": "int64"}


def test_bfloat16_goes_in_and_comes_out() -> None:
    module = nn.Linear(4, 3).to(torch.bfloat16).eval()
    model = source.load((module, "x: bfloat16[n, 4]; where n = 1..8"))
    x = X.astype(ml_dtypes.bfloat16)
    output = PyTorch().load(model, "cpu").run({"x": x})["output"]
    with torch.no_grad():
        expected = module(torch.from_numpy(X).to(torch.bfloat16)).float().numpy()
    assert output.dtype == x.dtype
    np.testing.assert_array_equal(output.astype(np.float32), expected)


class Counting(nn.Module):
    """Returns its own buffer, which the next run overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        total = self.get_buffer("total")
        return total.add_(x)


def test_results_are_not_changed_by_the_next_run() -> None:
    session = PyTorch().load(source.load((Counting(), "x: float32[2]")), "cpu")
    first = session.run({"x": np.zeros(2, np.float32)})["output"]
    before = first.copy()
    session.run({"x": np.ones(2, np.float32)})
    np.testing.assert_array_equal(first, before)


class Fussy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.sum()) > 100:
            raise ValueError("too bright")
        return x


def test_a_module_that_raises_is_reported_with_its_reason() -> None:
    session = PyTorch().load(source.load((Fussy(), "x: float32[n]; where n = 1..8")), "cpu")
    with pytest.raises(InputError, match=r"PyTorch itself refuses x \[1\]: too bright"):
        session.run({"x": np.full(1, 101, np.float32)})


def test_refuses_an_onnx_file(tmp_path: Path) -> None:
    graph = "(float[n] x) => (float[n] y) { y = Relu(x) }"
    artifact = saved(tmp_path / "m.onnx", graph, "x: float32[n]; where n = 1..8")
    with pytest.raises(InputError, match=r"PyTorch does not run 'm\.onnx'\nname its source"):
        PyTorch().load(artifact, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("runtime", [PyTorch, PyTorchFloat64])
def test_cuda_is_refused_where_there_is_none(runtime: type[PyTorch]) -> None:
    with pytest.raises(MissingError) as caught:
        runtime().load(source.load(models.linear()), "cuda")
    assert caught.value.message in (
        "no GPU answers to torch",
        "this torch is a build without CUDA",
    )
    assert caught.value.hint


def test_auto_takes_a_device_that_works() -> None:
    session = PyTorch().load(source.load(models.linear()), "auto")
    assert session.device == PyTorch().availability().devices[0]
    assert session.run({"x": X})["output"].shape == (3, 3)


class Keeps(nn.Module):
    """Writes each result over the last one, which it returned."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.held = how, torch.zeros(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.held.add_(x)
        return self.held if self.how == "whole" else self.held.t()


@pytest.mark.parametrize("how", ["whole", "view"])
def test_what_a_module_goes_on_writing_to_is_copied_however_large(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.pytorch._LARGE", 0)
    model = source.load((Keeps(how).eval(), "x: float32[3, 4] in -1..1"))
    session = PyTorch().load(model, "cpu")
    (first,) = session.run({"x": X}).values()
    before = first.copy()
    session.run({"x": X})
    np.testing.assert_array_equal(first, before)


def test_a_large_output_that_nobody_else_holds_is_not_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = PyTorch().load(source.load(models.linear()), "cpu")
    assert session.run({"x": X})["output"].flags.owndata
    monkeypatch.setattr("runtimes.pytorch._LARGE", 0)
    assert not session.run({"x": X})["output"].flags.owndata


class Flexible(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        heads = x[:, None]
        found: Tensor = flex_attention(heads, heads, heads)
        return found[:, 0]


def test_flex_attention_is_not_compiled_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiles(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch, "compile", compiles)
    model = source.load((Flexible(), "x: float32[1, n, 4]; where n = 1..20"))
    ones = np.ones((1, 7, 4), np.float32)
    np.testing.assert_allclose(PyTorch().load(model, "cpu").run({"x": ones})["output"], ones)
    assert not flexes._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG
