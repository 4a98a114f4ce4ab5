"""Branches on sizes and on values: one If of ONNX that takes the way that Python takes."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from exporters.dynamo import write
from exporters.rewrites.control import FAMILY
from tests.exporters.holding import holds
from tests.exporters.rewrites.control.proving import Proof, normal
from toolkit import source
from toolkit.errors import ExportRefused, OnnxportError

ROWS = "x: float32[n, 3]; where n = 0..8"


class Sizes(nn.Module):
    """Each kind of test of a size; 0 and 1 are special to torch.export, and declared here."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        big = x * 2 if x.shape[0] > 3 else x + 1
        if len(x) == 0:
            mean = torch.full((3,), -1.0)
        else:
            mean = x.sum(0)
            mean = mean / len(x)
        y = x
        if x.size(0) % 2:
            y = y - 1
        elif not 2 < x.size(0) < 7:
            y = y * 5
        one = 0
        if x.shape[0] == 1:
            one = 1
        return big, mean, y, torch.tensor(one)


class Values(nn.Module):
    """Conditions on values: nested, joined, with both ways of leaving a function early."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def clipped(self, x: Tensor) -> Tensor:
        if (x > 2).any():
            if x.shape[0] > 4:
                return x.clamp(max=2)
            x = x - 1
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.isnan(x).any(), "NaN"
        if torch.isinf(x).any():
            raise ValueError("inf")
        x = self.clipped(x)
        x = x * 2 if x.abs().sum() < 4 else x
        x = x * 3 if x.shape[0] > 2 and x.sum() > 0 else x
        if not x.sum() > 0 and x.shape[0] >= 3:
            y = self.a(x)
        elif x.sum() < -3:
            y = self.b(x)
        else:
            return x * 5, x.sum()
        return y, x.sum() * 2


class Writes(nn.Module):
    """Ways that write into tensors, with constants and masks."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        if y.sum() > 0:
            y[:, 0] = 7
            y[y < 0] = -1.0
        else:
            y += torch.tensor([1.0, 2.0, 3.0])
        return y


MODULES = {"sizes": Sizes, "values": Values, "writes": Writes}


@pytest.fixture(scope="module", params=MODULES)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    torch.manual_seed(0)
    module = MODULES[request.param]().eval()
    return Proof((module, ROWS), tmp_path_factory.mktemp("branches") / "m.onnx")


@pytest.mark.parametrize("rows", range(9))
@pytest.mark.parametrize("shift", [-2.0, -0.3, 0.3, 2.0])
def test_takes_the_way_that_python_takes(proof: Proof, rows: int, shift: float) -> None:
    proof.holds_for({"x": normal((rows, 3), seed=rows, shift=shift)})


def test_a_branch_is_an_if(proof: Proof) -> None:
    assert proof.operators()["If"]


class Decided(nn.Module):
    """Tests whose outcome the signature settles, and Python's own."""

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        if x.shape[0] == 0 or x.shape[1] != 3 or scale is not None:
            return x
        y = x
        for name in ("exp", "sin"):
            if name == "exp" and not self.training:
                y = torch.exp(y)
        return y if x.shape[0] >= 1 else -y


def test_a_test_that_the_signature_settles_leaves_no_if(tmp_path: Path) -> None:
    proof = Proof((Decided().eval(), "x: float32[n, 3]; where n = 1..8"), tmp_path / "m.onnx")
    assert proof.operators() == {"Exp": 1}
    proof.holds_for({"x": normal((1, 3))})


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            self.seen.append(x)
        return x * 2


class OfTwoShapes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            y = x * 2
        else:
            y = x.sum(0)
            y = y + 1
        return y.sum()


class Aliased(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        head = y[:, :1]
        if x.sum() > 0:
            y.mul_(2)
            y = y + head
        return y


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Remembers, "it changes a list, a dict or an attribute"),
        (OfTwoShapes, r"y is float32\[s\d+, 3\] or float32\[3\]"),
        (Aliased, "it writes into a tensor and uses a view of it"),
    ],
)
def test_refuses_what_one_if_cannot_be(
    module: type[nn.Module], reason: str, tmp_path: Path
) -> None:
    model = source.load((module().eval(), "x: float32[n, 3]; where n = 1..8"))
    with pytest.raises(ExportRefused, match=rf"test_branches\.py line \d+.*{reason}"):
        write(model, tmp_path / "m.onnx", opset=20, families=(FAMILY,))


def test_the_functions_have_their_own_code_again(tmp_path: Path) -> None:
    code = Sizes.forward.__code__
    write(source.load((Sizes().eval(), ROWS)), tmp_path / "m.onnx", opset=20, families=(FAMILY,))
    assert Sizes.forward.__code__ is code
    assert "__onnxport__" not in Sizes.forward.__globals__


def test_numbers_of_python_that_no_size_is(tmp_path: Path) -> None:
    class Numbers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            whole = int(x.sum())
            return x / float(len(x)) + max(x.shape[0], 4) * whole - min(len(x), 3)

    made = (Numbers().eval(), "x: float32[n, 3]; where n = 1..8")
    proof = Proof(made, tmp_path / "m.onnx")
    for rows in (1, 3, 5, 8):
        proof.holds_for({"x": normal((rows, 3), shift=1.5)})


class Padded(nn.Module):
    """Two sizes in one test, of which the second is looked at inside a subgraph."""

    def forward(self, x: Tensor) -> Tensor:
        more, below = (-x.shape[1]) % 2, (-x.shape[2]) % 2
        if more or below:
            x = functional.pad(x, (0, below, 0, more))
        return x.sum((1, 2))


def test_a_size_on_the_right_of_an_or_is_known_there(tmp_path: Path) -> None:
    made = Padded().eval(), "x: float32[n, h, w]; where n = 1..4, h = 2..9, w = 2..9"
    proof = Proof(made, tmp_path / "m.onnx")
    for height, width in product((4, 5), repeat=2):
        proof.holds_for({"x": normal((2, height, width))})


class Windows(nn.Module):
    """One way is for windows of 7, which a reduced multiple of 32 never is."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(7))

    def forward(self, x: Tensor) -> Tensor:
        reduced = x[:, ::16]
        return reduced + self.bias if reduced.shape[1] == 7 else reduced


def test_a_size_is_one_of_the_steps(tmp_path: Path) -> None:
    made = Windows().eval(), "x: float32[n, w]; where n = 1..4, w = 64..128 step 32"
    proof = Proof(made, tmp_path / "m.onnx")
    assert not proof.operators()["If"]
    for width in (64, 96, 128):
        proof.holds_for({"x": normal((2, width))})


class Patches(nn.Module):
    """Resized where a side is no multiple of 2, and back: the ways differ in their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        n, c, h, w = x.shape
        high, wide = math.ceil(h / 2) * 2, math.ceil(w / 2) * 2
        resized = False
        if high != h or wide != w:
            x = functional.interpolate(x, size=(high, wide), mode="bilinear")
            resized = True
        x = x.reshape(n, c, high // 2, 2, wide // 2, 2).softmax(2).reshape(n, c, high, wide)
        if resized:
            x = functional.interpolate(x, size=(h, w), mode="bilinear")
        return self.last(x)


def test_the_ways_of_a_branch_may_differ_in_size(tmp_path: Path) -> None:
    made = Patches().eval(), "x: float32[n, 1, h, w]; where n = 1..4, h = 4..9, w = 4..9"
    proof = Proof(made, tmp_path / "m.onnx")
    for height, width in product((4, 5, 9), repeat=2):
        proof.holds_for({"x": normal((2, 1, height, width))})


class Shifted(nn.Module):
    """Windows are shifted along an axis that has several; the shifts are items of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.shifts = [1, 1]

    def forward(self, x: Tensor) -> Tensor:
        shifts = self.shifts.copy()
        if x.shape[1] <= 3:
            shifts[0] = 0
        if x.shape[2] <= 3:
            shifts[1] = 0
        if sum(shifts) > 0:
            x = torch.roll(x, shifts=(shifts[0], -shifts[1]), dims=(1, 2))
        return x.cumsum(1) * shifts[0] - x.cumsum(2) * shifts[1]


def test_the_ways_of_a_branch_may_change_a_list(tmp_path: Path) -> None:
    made = Shifted().eval(), "x: float32[n, h, w]; where n = 1..4, h = 2..6, w = 2..6"
    proof = Proof(made, tmp_path / "m.onnx")
    for height, width in product((2, 3, 4, 6), repeat=2):
        proof.holds_for({"x": normal((2, height, width))})


class Doubted(nn.Module):
    """`bool` of sizes and of values, where it is asked and where it is kept."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.shape[0] > 3) and not bool(x.sum() > 2):
            return x * 2
        above = bool((x > 1).any())
        return x + 1 if above else x - 1


def test_the_bool_of_a_test_is_the_test(tmp_path: Path) -> None:
    proof = Proof(
        (Doubted().eval(), "x: float32[batch, 4]; where batch = 1..9"), tmp_path / "m.onnx"
    )
    for rows in range(1, 10):
        for shift in (-2.0, 0.0, 2.0):
            proof.holds_for({"x": normal((rows, 4), seed=rows, shift=shift)})


class Masked(nn.Module):
    """fairseq's way, and FSMT's: there is a mask only where something is masked."""

    def assigned(self, ids: Tensor) -> Tensor | None:
        mask: Tensor | None = ids.eq(0)
        assert mask is not None
        if not mask.any():
            mask = None
        return mask

    def returned(self, ids: Tensor) -> Tensor | None:
        mask = ids.eq(1)
        return mask if mask.any() else None

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        for mask in (self.assigned(ids), self.returned(ids)):
            if mask is not None:
                x = x.masked_fill(mask.unsqueeze(-1), -1.0)
        return x


class Tells(Masked):
    """Whether there is a mask is seen in what comes out."""

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        return x + 1 if self.assigned(ids) is None else x


TEXT = "x: float32[batch, n, 2]\nids: int64[batch, n] in 0..5; where batch = 1..4, n = 1..8"


def test_a_mask_of_nothing_stays_where_it_may_become_none(tmp_path: Path) -> None:
    proof = Proof((Masked(), TEXT), tmp_path / "m.onnx")
    for ids in ([[2, 3]], [[0, 3]], [[1, 3]], [[1, 0], [0, 4]]):
        array = np.array(ids)
        proof.holds_for({"x": normal((*array.shape, 2)), "ids": array})


def test_what_tells_it_from_none_is_found_out_by_the_check(tmp_path: Path) -> None:
    with pytest.raises(OnnxportError, match="differs"):
        toolkit.export((Tells(), TEXT), tmp_path / "m.onnx", exporters=["onnxport"], budget=2)


class Reused(nn.Module):
    """`kept` has another rank in either way, and nobody reads it behind them."""

    def forward(self, x: Tensor) -> Tensor:
        kept = x * 2
        if x.shape[1] > 3:
            kept = kept.unsqueeze(1)
            y = kept.sum(1) + 1
        else:
            y = kept - 1
        return y


class ComesRound(nn.Module):
    """`kept` is read in the next turn of the loop only, in the branch that assigned it."""

    def forward(self, x: Tensor) -> Tensor:
        kept, y = x[:, 0], torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            if x[0, t, 0] > 0:
                y = y + kept
                kept = x[:, t] * 2
        return y


class Empty(nn.Module):
    """One way gives nothing, along an axis of which the other gives some."""

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = x * 2
            found = x[:, :, None]
        else:
            found = x.new_zeros(x.shape[0], 0, 1, 3)
        return found.sum((1, 2))


@pytest.mark.parametrize("module", [Reused, ComesRound, Empty])
def test_what_a_branch_leaves_is_what_is_read_behind_it(
    module: type[nn.Module], tmp_path: Path
) -> None:
    text = "x: float32[batch, time, 3] in -1..1; where batch = 1..4, time = 1..7"
    assert holds(module, text, tmp_path / "m.onnx")
