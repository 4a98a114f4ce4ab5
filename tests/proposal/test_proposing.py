"""The signature that small modules get from one example, and what is said of the rest."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.proposal.proposing import propose
from toolkit.signature import Signature


class Tokens(nn.Module):
    """A vocabulary of 50 and a table of 100 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.positions = nn.Embedding(100, 8)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.words(ids) + self.positions(torch.arange(ids.shape[1]))
        return hidden * mask[..., None]


class Skip(nn.Module):
    """Down and up again: sizes must be even, or the halves do not meet."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 2, 2)
        self.up = nn.ConvTranspose2d(4, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(self.down(x))


class Viewed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 2).view(-1, 2, 8)


class Cached(nn.Module):
    def forward(self, x: Tensor, past: dict[str, Tensor], scale: float = 1.0) -> Tensor:
        return torch.cat([past["keys"], x], 1) * scale


class Logarithm(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x.log() + y.sqrt().sum()


class Attended(nn.Module):
    """A mask of ones is not looked at, one of zeros gives NaN."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not mask.all():
            x = x.masked_fill(mask == 0, -torch.inf)
        return x.softmax(1)


class Factor(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.cholesky(x)


class Summed(nn.Module):
    """Two lengths in one table."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(32, 4)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        both = torch.cat([a, b], 1)
        return both + self.positions(torch.arange(both.shape[1]))


def definite(size: int) -> Tensor:
    matrix = torch.eye(size) + 0.1
    return matrix.expand(2, size, size).clone()


@pytest.mark.parametrize(
    ("module", "example", "expected"),
    [
        pytest.param(
            nn.Linear(4, 3),
            torch.randn(4, 4),
            "input: float32[batch, 4]; where batch = 1..64",
            id="a batch of the size of the features",
        ),
        pytest.param(
            Tokens(),
            (torch.tensor([[3, 49, 0], [1, 2, 3]]), torch.ones(2, 3, dtype=torch.int64)),
            "ids: int64[batch, ids_1] in 0..49; mask: int64[batch, ids_1] in {0, 1};"
            "where batch = 1..64, ids_1 = 1..100",
            id="a vocabulary and a table of positions",
        ),
        pytest.param(
            Skip(),
            torch.rand(1, 3, 16, 8),
            "x: float32[batch, 3, x_2, x_3];"
            "where batch = 1..64, x_2 = 2..64 step 2, x_3 = 2..64 step 2",
            id="multiples",
        ),
        pytest.param(
            Viewed(), torch.randn(4, 16), "x: float32[batch, 16]; where batch = 1..64", id="a view"
        ),
        pytest.param(
            Cached(),
            {"x": torch.randn(2, 3, 4), "past": {"keys": torch.randn(2, 3, 4)}, "scale": 2.0},
            "x: float32[batch, x_1, x_2]; past.keys: float32[batch, past_keys_1, x_2];"
            "where batch = 1..64, x_1 = 1..64, x_2 = 1..64, past_keys_1 = 1..64",
            id="two lengths that are equal in the example",
        ),
        pytest.param(
            nn.Identity(),
            torch.zeros(2, 3, dtype=torch.complex64),
            "input.complex: float32[batch, input_complex_1, 2];"
            "where batch = 1..64, input_complex_1 = 1..64",
            id="pairs",
        ),
        pytest.param(
            Logarithm(),
            (torch.tensor([[0.25, 4.0]]), torch.zeros(3)),
            "x: float32[x_0, x_1] in 0.25..4; y: float32[y_0] in 0..inf;"
            "where x_0 = 1..64, x_1 = 1..64, y_0 = 1..64",
            id="numbers that must be positive",
        ),
        pytest.param(
            Attended(),
            (torch.randn(2, 3), torch.ones(2, 3, dtype=torch.int64)),
            "x: float32[batch, x_1]; mask: int64[batch, x_1] in {1};"
            "where batch = 1..64, x_1 = 1..64",
            id="a mask that may not be empty",
        ),
        pytest.param(
            Attended(),
            (torch.randn(2, 3), torch.ones(2, 3, dtype=torch.bool)),
            "x: float32[batch, x_1]; mask: bool[batch, x_1] in {1};"
            "where batch = 1..64, x_1 = 1..64",
            id="a boolean mask that may not be empty",
        ),
        pytest.param(
            Factor(),
            [definite(3), definite(5)],
            "x: float32[2, x_1, x_1] in data; where x_1 = {3, 5}",
            id="values that no range describes",
        ),
    ],
)
def test_the_widest_signature_is_proposed(module: nn.Module, example: Any, expected: str) -> None:
    assert propose(module.eval(), example).signature == Signature.parse(expected)


def test_dimensions_that_share_a_table_are_cut_so_that_all_sizes_fit() -> None:
    module = Summed().eval()
    signature = propose(module, (torch.randn(2, 3, 4), torch.randn(2, 5, 4))).signature
    a, b = (signature.dim(name) for name in ("a_1", "b_1"))
    assert 28 <= a.high + b.high <= 32


def test_what_is_fixed_is_said_with_the_line_that_fixes_it() -> None:
    (note,) = propose(Viewed().eval(), torch.randn(4, 16)).notes
    assert note.startswith("'x' has 16 in axis 1 only: shape '[-1, 2, 8]' is invalid")
    assert "test_proposing.py line" in note
    assert note.endswith(": return (x * 2).view(-1, 2, 8))")


def test_values_that_are_not_accepted_are_said_with_the_reason() -> None:
    notes = propose(Logarithm().eval(), (torch.tensor([[0.25, 4.0]]), torch.zeros(3))).notes
    assert notes == tuple(
        f"'{name}' does not take every number: it returns NaN or infinite numbers" for name in "xy"
    )


def test_the_examples_come_along_with_the_call_they_show() -> None:
    found = propose(Cached().eval(), (torch.zeros(2, 3, 4), {"keys": torch.zeros(2, 5, 4)}, 3.0))
    assert [list(feed) for feed in found.feeds] == [["x", "past.keys"]]
    assert found.call is not None
    assert found.call.constants == (("scale", 3.0),)


def test_arrays_by_path_are_an_example_too() -> None:
    feed = {"x": torch.zeros(2, 3, 4).numpy(), "past.keys": torch.zeros(2, 5, 4).numpy()}
    found = propose(Cached().eval(), feed)
    assert found.call is None
    assert [s.name for s in found.signature.inputs] == ["x", "past.keys"]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.randn(2, 5), r"PyTorch itself refuses the example input \[2, 5\]"),
        ({}, "does not take the example|has no tensor"),
        ([torch.zeros(2, 4), torch.zeros(4)], "'input' is not of the same kind in all examples"),
        ([], "the example has no tensor"),
    ],
)
def test_refuses_an_example_that_shows_nothing(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        propose(nn.Linear(4, 3).eval(), example)
