"""A module in float64 without a copy: the same numbers, and a copy where it needs one."""

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtimes.lending import Lending, Unlendable, is_lendable
from runtimes.pytorch import Lent, PyTorch, PyTorchFloat64
from toolkit import source
from toolkit.model import LoadedModel

FLOATS = "x: float32[batch, 5, 8]; where batch = 1..4"
IDS = "x: int64[batch, 5] in 0..6; where batch = 1..4"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8, padding_idx=0)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 7, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.out(self.norm(self.embedding(x)))
        return scores


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x, x)[0]
        return found


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.lstm(x)[0]
        return found


class Computing(nn.Module):
    """Weights that are read, cut, laid out anew, stacked and cast by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(24, 8))
        self.scale = nn.Parameter(torch.randn(8))
        self.register_buffer("table", torch.rand(9, 8))

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.weight.chunk(3)
        x = x.to(self.weight.dtype) @ a.t() + nn.functional.linear(x, b) * self.scale.float()
        rows = self.table[: x.shape[1]] + self.table[torch.arange(x.shape[1])]
        stacked = torch.stack([self.scale, self.scale[0].expand(8), c.T[1]])
        norm = x.float().pow(2).mean(-1, keepdim=True).rsqrt()
        return torch.cat([x * norm + rows, (x @ stacked.mT).type_as(self.scale)], -1)


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv1d(5, 6, 3), nn.BatchNorm1d(6), nn.GELU(), nn.PReLU(6))
        nn.utils.parametrizations.weight_norm(self.inner[0])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(x)
        return found


MODULES = {
    "linear": (lambda: nn.Linear(8, 3), FLOATS),
    "convolution": (Normalized, FLOATS),
    "lstm": (Recurrent, FLOATS),
    "attention": (Attending, FLOATS),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), FLOATS),
    "tied embedding": (Tied, IDS),
    "by hand": (Computing, FLOATS),
}


def loaded(module: nn.Module, signature: str) -> LoadedModel:
    return source.load((module.eval(), signature))


def fed(model: LoadedModel) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    spec = model.signature.inputs[0]
    drawn = rng.standard_normal((3, 5, 8)) if spec.is_float else rng.integers(0, 7, (3, 5))
    return {spec.name: drawn.astype(spec.dtype)}


@pytest.mark.parametrize("at_once", [8, 1 << 20])
@pytest.mark.parametrize("name", MODULES)
def test_lent_weights_give_the_numbers_of_a_copy(
    name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.pytorch._MOVED", at_once)
    torch.manual_seed(0)
    make, signature = MODULES[name]
    model = loaded(make(), signature)
    copied, lent, feeds = PyTorchFloat64().load(model, "cpu"), Lent(model), fed(model)
    before = PyTorch().load(model, "cpu").run(feeds)
    for moving in (None, (3.0, 0), (500.0, 1)):
        found = []
        for session in (copied, lent):
            if moving is None:
                found.append(session.run(feeds))
            else:
                with session.moved(moving[0], np.random.default_rng(1), moving[1]):
                    found.append(session.run(feeds))
        for one, other in zip(*(f.values() for f in found), strict=True):
            assert other.dtype == np.float64
            np.testing.assert_array_equal(one, other)
    assert lent.lends
    after = PyTorch().load(model, "cpu").run(feeds)
    assert all((before[n] == after[n]).all() for n in before)


class Counting(nn.Module):
    """Writes to a buffer, or to a view of one, or keeps what it computed."""

    def __init__(self, write: Callable[[nn.Module, Tensor], None]) -> None:
        super().__init__()
        self.write = write
        self.register_buffer("state", torch.zeros(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.write(self, x)
        return x + self.state


def set_rows(module: nn.Module, x: Tensor) -> None:
    module.state[:2] = x[0, :2]


def copy_to_view(module: nn.Module, x: Tensor) -> None:
    module.state.view(-1).narrow(0, 0, 8).copy_(x[0, 0])


def write_out(module: nn.Module, x: Tensor) -> None:
    torch.add(x[0], 1, out=module.state)


def train_statistics(module: nn.Module, x: Tensor) -> None:
    nn.functional.batch_norm(x, module.state[0, :5], module.state[1, :5], training=True)


def replace_buffer(module: nn.Module, x: Tensor) -> None:
    module.state = x[0] * 2


def keep_in_attribute(module: nn.Module, x: Tensor) -> None:
    module.kept = x * 2


@pytest.mark.parametrize(
    "write",
    [set_rows, copy_to_view, write_out, train_statistics, replace_buffer, keep_in_attribute],
)
def test_a_module_that_writes_to_itself_gets_a_copy_and_stays_as_it_is(
    write: Callable[[nn.Module, Tensor], None],
) -> None:
    module = Counting(lambda module, x: None)
    model = loaded(module, FLOATS)
    module.write = write
    lent, copied, feeds = Lent(model), PyTorchFloat64().load(model, "cpu"), fed(model)
    found, expected = lent.run(feeds), copied.run(feeds)
    np.testing.assert_array_equal(found["output"], expected["output"])
    assert not lent.lends
    assert not module.state.any()
    assert not hasattr(module, "kept")


class Keeping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)
        self.table = torch.ones(8)


def test_what_is_lent_is_gone_at_once_and_not_when_python_looks_for_cycles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[weakref.ref[Tensor]] = []
    lend = Lending.lent

    def lent(self: Lending, value: Tensor) -> Tensor:
        wide = lend(self, value)
        if wide is not value:
            made.append(weakref.ref(wide))
        return wide

    session = Lent(source.load((Attending(), FLOATS)))
    monkeypatch.setattr(Lending, "lent", lent)
    gc.disable()
    try:
        session.run({"x": np.ones((2, 5, 8), np.float32)})
        assert made
        assert not [weight for weight in made if weight() is not None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Linear(8, 8), True),
        (nn.LSTM(8, 8), True),
        (nn.Linear(8, 8).to(torch.bfloat16), False),
        (nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8).double()), False),
        (torch.jit.script(nn.Linear(8, 8)), False),
        (Keeping(), False),
    ],
    ids=["float32", "flat weights", "bfloat16", "mixed", "scripted", "a tensor as an attribute"],
)
def test_only_plain_float32_modules_are_lent(module: nn.Module, expected: bool) -> None:
    assert is_lendable(module) is expected


def test_a_large_module_is_lent_and_a_small_one_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(nn.Linear(8, 3), FLOATS)
    assert not isinstance(PyTorchFloat64().load(model, "cpu"), Lent)
    monkeypatch.setattr("runtimes.pytorch.COPIED", 16)
    assert isinstance(PyTorchFloat64().load(model, "cpu"), Lent)


def test_a_weight_that_is_handed_on_by_an_unknown_view_is_refused() -> None:
    module = nn.Linear(8, 8)
    lending = Lending(module)
    with torch.no_grad(), pytest.raises(Unlendable), lending.lending():
        torch.diagonal(module.weight).sum()


def test_recorded_values_are_those_of_a_copy() -> None:
    model = loaded(Tied(), IDS)
    feeds = fed(model)
    lent, copied = Lent(model).recorded(feeds), PyTorchFloat64().load(model, "cpu").recorded(feeds)
    assert [r.key for r in lent] == [r.key for r in copied]
    for one, other in zip(lent, copied, strict=True):
        np.testing.assert_array_equal(one.sketch.elements, other.sketch.elements)
