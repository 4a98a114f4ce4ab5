"""What ONNX Runtime computes in no type of its own comes out in a wider one, and the same."""

from pathlib import Path

import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, defs, helper
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from exporters.kernels import CARRIERS
from tests.exporters.holding import holds
from toolkit.errors import OnnxportError


class Masks(nn.Module):
    """One of two masks, chosen by a third: an attention that may look back, or not."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(x > y, x > 0.3, y < 0.2), torch.where(x > 0, torch.tensor(True), y > 0)


class Bytes(nn.Module):
    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        hot = functional.one_hot(y.long(), 256).bool()
        moved = (functional.pad(z, (1, 2)), functional.pad(x, (1, 2)), torch.tril(y))
        chosen = (
            z.argmax(1),
            torch.maximum(z, z.flip(0)),
            torch.maximum(z, z),
            z.clamp(-3, 3),
            z.relu(),
        )
        return (*moved, *chosen, torch.where(x[:, None], z, -z), hot, torch.nonzero(z))


class Kinds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.unique(x)


class Branches(nn.Module):
    """In a subgraph, whose result is an output of it."""

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return torch.where(x > 1, x < 2, x > -1)
        return x > 0


OPSET = 20
OTHERS = {"int64": TensorProto.INT64, "bool": TensorProto.BOOL, "float": TensorProto.FLOAT}
"""For what is no number that the operator chooses: an axis, a condition."""

CASES = {
    Masks: "x: float32[n]\ny: float32[n]; where n = 1..9",
    Bytes: "x: bool[n]\ny: uint8[n, m]\nz: int16[n, m]; where n = 1..9, m = 1..7",
    Kinds: "x: uint8[n] in 0..5; where n = 1..9",
    Branches: "x: float32[n] in -3..3; where n = 1..9",
}


@pytest.mark.parametrize("kind", CASES, ids=lambda k: k.__name__)
def test_a_file_holds(kind: type[nn.Module], tmp_path: Path) -> None:
    assert holds(kind, CASES[kind], tmp_path / "m.onnx")


def test_what_fails_without_it_is_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporters.writing.carry", lambda model: None)
    with pytest.raises(OnnxportError, match="Where"):
        toolkit.export((Masks(), CASES[Masks]), tmp_path / "m.onnx", exporters=["onnxport"])


@pytest.mark.parametrize(
    ("operator", "own"),
    [(op, own) for op, carriers in CARRIERS.items() for own in carriers],
    ids=str,
)
def test_no_type_is_carried_that_has_a_kernel(operator: str, own: int) -> None:
    assert not _loads(operator, own)
    assert _loads(operator, CARRIERS[operator][own])


def _loads(operator: str, own: int) -> bool:
    """Does a model of this one node load, whose numbers are of that type?"""
    schema = defs.get_schema(operator, OPSET)
    of_result = schema.outputs[0].type_str
    of_inputs = [formal.type_str for formal in schema.inputs]
    decisive = of_result if of_result in of_inputs else of_inputs[0]
    inputs = []
    for formal in schema.inputs:
        optional = formal.option == defs.OpSchema.FormalParameterOption.Optional
        if optional and formal.type_str != decisive:
            break
        other = next(t for name, t in OTHERS.items() if f"tensor({name})" in formal.types)
        kind = own if formal.type_str == decisive else other
        inputs.append(helper.make_tensor_value_info(formal.name, kind, None))
    equation = {"equation": "ij->ji"} if operator == "Einsum" else {}
    if operator == "Resize":
        inputs += [helper.make_tensor_value_info("scales", TensorProto.FLOAT, None)]
    names = [i.name for i in inputs]
    names[1:1] = [""] if operator == "Resize" else []
    node = helper.make_node(operator, names, ["found"], **equation)
    graph = helper.make_graph([node], "one", inputs, [helper.make_empty_tensor_value_info("found")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    try:
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        return False
    return True
