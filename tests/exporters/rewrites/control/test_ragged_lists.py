"""Lists of tensors of many sizes: length regulators, texts without their padding."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from tests.exporters.holding import holds
from tests.exporters.rewrites.control.proving import Feeds, Proof, normal
from toolkit.errors import ExportRefused

SIGNATURE = (
    "x: float32[batch, time, 3]; n: int64[batch, time] in 0..3; where batch = 1..4, time = 1..5"
)


class Repeats(nn.Module):
    """FastSpeech: each position as often as was predicted, the rows filled up with a number."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, ...]:
        rows = []
        for i in range(x.shape[0]):
            rows.append(torch.repeat_interleave(x[i], n[i], dim=0))
        return pad_sequence(rows, True, -1.0), pad_sequence(rows), torch.cat(rows)


class Expands(nn.Module):
    """The same as it is written with lists of lists, and how long each became."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        rows, sizes = [], []
        for row, counts in zip(x, n, strict=True):
            parts = []
            for i, vector in enumerate(row):
                parts.append(vector.expand(max(int(counts[i].item()), 0), -1))
            rows.append(torch.cat(parts, 0))
            sizes.append(rows_of(parts))
        return pad_sequence(rows, batch_first=True), torch.tensor(sizes)


def rows_of(parts: list[Tensor]) -> int:
    return torch.cat(parts).shape[0]


class Cuts(nn.Module):
    """Each text without its padding, sideways; `torch.nn.utils.rnn` by its whole name."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        lengths = n.sum(1).clamp(max=x.shape[1])
        wide = torch.cat([x[i, : lengths[i]].T for i in range(x.shape[0])], 1)
        rows = [x[i, : lengths[i]] * i for i in range(x.shape[0])]
        return wide, torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


class Steps(nn.Module):
    """A state goes from row to row, of which each has one more than the one before."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        state, rows = torch.zeros_like(x[0, 0]), []
        for t in range(x.shape[1]):
            state = torch.tanh(state + x[0, t])
            rows.append(x[0, : t + 1] * state)
        return torch.cat(rows), state + n.sum()


class Parts(nn.Module):
    """Lengths as Python's numbers: rows of other lengths, turned round, and split again."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, ...]:
        lengths = n.sum(1).clamp(max=x.shape[1])
        rows = []
        for row, length in zip(x, lengths.tolist(), strict=True):
            rows.append(row[:length].flip(0))
        together = torch.cat(rows)
        parts = torch.split(together, lengths.tolist())
        longest = torch.zeros(max(lengths.tolist()), 2)
        return pad_sequence([p * 2 for p in parts], batch_first=True), longest


MODULES = (Repeats, Expands, Cuts, Steps, Parts)


@pytest.fixture(scope="module", params=MODULES)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return Proof((request.param().eval(), SIGNATURE), tmp_path_factory.mktemp("lists") / "m.onnx")


def feeds(batch: int, time: int, *, most: int) -> Feeds:
    counts = torch.randint(
        0, most + 1, (batch, time), generator=torch.Generator().manual_seed(time)
    )
    return {"x": normal((batch, time, 3), seed=batch), "n": counts.numpy()}


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("time", [1, 2, 5])
@pytest.mark.parametrize("most", [0, 1, 3])
def test_as_python_has_it(proof: Proof, batch: int, time: int, most: int) -> None:
    proof.holds_for(feeds(batch, time, most=most))


class Collapses(nn.Module):
    """CTC: what is said again and what is nothing is left out of each row."""

    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        rows = []
        for row in n:
            kept, before = [], 0
            for t in range(row.shape[0]):
                one = row[t].item()
                if one not in (before, 0):
                    kept.append(one)
                before = one
            rows.append(torch.tensor(kept, dtype=torch.int64))
        return pad_sequence(rows, True, -1)


def test_lists_in_lists(tmp_path: Path) -> None:
    assert holds(Collapses, SIGNATURE, tmp_path / "model.onnx")


class FillsUp(nn.Module):
    """What is left of each row, filled up to one length: loops over such lists (UDOP)."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        rows = [row[counts > 1] for row, counts in zip(x, n, strict=True)]
        masks = [torch.ones(row.size(0)) for row in rows]
        length = x.shape[1]
        found = torch.stack([filled(row, length, torch.zeros(3)) for row in rows])
        return found, torch.stack([filled(mask, length, torch.zeros(())) for mask in masks], -1)


def filled(rows: Tensor, length: int, by: Tensor) -> Tensor:
    missing = length - len(rows)
    if missing > 0:
        rows = torch.cat([rows, torch.stack([by] * missing)])
    return rows[:length]


def test_loops_over_such_a_list(tmp_path: Path) -> None:
    assert holds(FillsUp, SIGNATURE, tmp_path / "model.onnx")


class ReadsBack(nn.Module):
    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        rows = [x[0, : n[0, 0]]]
        for i in range(x.shape[0]):
            rows.append(rows[-1].sum(0) + x[i, : n[i, 0]])
        return torch.cat(rows)


def test_the_one_before_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="it reads the list that it appends to"):
        Proof((ReadsBack().eval(), SIGNATURE), tmp_path / "m.onnx")
