"""`.pt2` files are data: a plain one loads and runs, one that carries code is refused unrun."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests import hostile_archives as hostile
from toolkit.errors import InputError
from toolkit.pt2 import load_pt2
from toolkit.signature import Signature
from toolkit.source import load


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(4.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.scale).reshape(x.shape[0] * 2, 2) + 1


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that holds sizes, an expression of a size, weights and sample inputs."""
    batch = torch.export.Dim("batch", min=2, max=8)
    program = torch.export.export(Pairs(), (torch.zeros(3, 4),), dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("pt2") / "plain.pt2"
    torch.export.save(program, path)
    return path


def test_a_plain_program_has_the_signature_it_was_exported_with(plain: Path) -> None:
    _, signature = load_pt2(plain)
    name = signature.dims[0].name
    assert signature == Signature.parse(f"x: float32[{name}, 4]; where {name} = 2..8")


def test_a_plain_program_runs_at_any_size(plain: Path) -> None:
    x = torch.rand(7, 4)
    assert torch.equal(load_pt2(plain)[0](x), Pairs()(x))


def test_a_program_is_a_source_like_any_other(plain: Path) -> None:
    model = load(str(plain))
    assert (model.origin, model.notes, model.parameters) == ("plain.pt2", (), 4)


def test_an_open_end_becomes_a_finite_one(tmp_path: Path) -> None:
    program = torch.export.export(
        nn.Linear(4, 3), (torch.zeros(3, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    torch.export.save(program, tmp_path / "open.pt2")
    assert load_pt2(tmp_path / "open.pt2")[1].dims[0].high == 64


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(hostile.operator, "target 'torch.os.system'", id="operator"),
        pytest.param(hostile.operand, "'torch.os.system'", id="operator as operand"),
        pytest.param(hostile.mapped_file, "from_file", id="operator on files"),
        pytest.param(hostile.size, "expr_str", id="size"),
        pytest.param(hostile.size_of_metadata, "expr_str", id="size of 'metadata'"),
        pytest.param(hostile.size_of_guards, "expr_str", id="size of 'guards_code'"),
        pytest.param(hostile.keyword, "in_spec", id="keyword of forward"),
        pytest.param(hostile.tensor_name, "p'+code+'", id="quote in a tensor name"),
        pytest.param(hostile.weight_name, "the name", id="quote in a weight name"),
        pytest.param(hostile.sample_inputs, "its sample inputs are pickled", id="sample inputs"),
        pytest.param(hostile.pickled_weight, "'scale' is pickled", id="pickled weight"),
    ],
)
def test_a_file_that_holds_more_than_data_is_refused_and_not_run(
    plain: Path, tmp_path: Path, edit: hostile.Hostile, reason: str
) -> None:
    marker = tmp_path / "marker"
    hostile.rewrite(plain, tmp_path / "hostile.pt2", edit(marker))
    refused = ""
    try:
        load(str(tmp_path / "hostile.pt2"))
    except InputError as error:
        refused = error.message
    assert not marker.exists(), "the file was run"
    assert "'hostile.pt2' holds more than data: " in refused
    assert reason in refused


def test_guards_are_not_run(plain: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hostile.rewrite(plain, tmp_path / "guards.pt2", hostile.guards(marker))
    load(str(tmp_path / "guards.pt2"))
    assert not marker.exists()


def test_an_unknown_member_is_refused(plain: Path, tmp_path: Path) -> None:
    library = "data/aotinductor/model/run.so"
    hostile.rewrite(plain, tmp_path / "m.pt2", lambda _, data: data, library)
    with pytest.raises(InputError, match=f"'m.pt2' holds more than data: the member {library}"):
        load_pt2(tmp_path / "m.pt2")


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_truncated_file_is_refused(plain: Path, tmp_path: Path, part: float) -> None:
    data = plain.read_bytes()
    (tmp_path / "half.pt2").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"'half\.pt2' is not a \.pt2 file that this torch reads"):
        load_pt2(tmp_path / "half.pt2")


@pytest.mark.parametrize("member", [hostile.PROGRAM, hostile.WEIGHTS, hostile.SAMPLES])
def test_a_damaged_member_is_refused(plain: Path, tmp_path: Path, member: str) -> None:
    path = tmp_path / "m.pt2"
    hostile.rewrite(plain, path, lambda name, data: data[:-9] if name == member else data)
    with pytest.raises(InputError, match=r"'m\.pt2'"):
        load_pt2(path)
