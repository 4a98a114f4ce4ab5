"""Python's functions of sizes: math, numpy, round, divmod, bits."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.corpora.bends_wild import ROWS
from tests.exporters.holding import holds


class Roots(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        return x / math.sqrt(n) * np.sqrt(n + 1) + math.log2(n) + np.log(n) + math.exp(-n)


class Powers(nn.Module):
    """The next power of two in three ways, of which one is the size of a tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        n = x.shape[1]
        most = 2 ** math.ceil(math.log2(n))
        padded = nn.functional.pad(x, (0, 0, 0, most - n))
        return padded.sum(1), x * (1 << (n - 1).bit_length()), x * int(2 ** np.ceil(np.log2(n)))


class Whole(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n, (quotient, rest) = x.shape[1], divmod(x.shape[1], 3)
        bits = (n & 1) + (n | 2) + (n >> 1)
        return (
            x * round(n / 2)
            + quotient
            - rest
            + bits
            + math.isqrt(n)
            + math.gcd(n, 6)
            + round(n / 3, 1)
        )


class OfTwo(nn.Module):
    """By two sizes, and by what one function says another."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[:2]
        longest = math.floor(math.hypot(rows, columns))
        return x * longest + np.float32(rows) * round(math.sqrt(rows * columns))


class Within(nn.Module):
    """One of some numbers or none of them, and a tensor like another of what is one."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[1]
        y = x * 2 if n in (1, 3, 5) else x
        z = y + 1 if n not in {2, x.shape[0]} else y
        return z, x.new_tensor([n, 2 * n])


WIDE = "x: float32[batch, n, 4] in -2..2; where batch = 1..5, n = 1..100000"


@pytest.mark.parametrize("module", [Roots, Powers, Whole, OfTwo, Within])
def test_what_python_says_at_every_size(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, ROWS, tmp_path / "model.onnx")


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / math.sqrt(x.shape[1]) * np.log(x.shape[1] + 1.0)


def test_operators_where_there_are_too_many_sizes_for_a_table(tmp_path: Path) -> None:
    assert holds(Square, WIDE, tmp_path / "model.onnx")


class Counted(nn.Module):
    """A loop as often as the size has bits."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(math.ceil(math.log2(x.shape[1])) + 1):
            x = torch.tanh(x) + 0.1
        return x


def test_how_often_a_loop_goes_round(tmp_path: Path) -> None:
    assert holds(Counted, ROWS, tmp_path / "model.onnx")
