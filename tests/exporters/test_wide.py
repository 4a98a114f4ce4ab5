"""Models in bfloat16, of which ONNX Runtime has no operators on CPUs; and in float16."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

import toolkit
from toolkit.errors import OnnxportError


class Words(nn.Module):
    """Weights in bfloat16 alone: what goes in are numbers of words."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.bfloat16()

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.layer(self.embed(ids))
        return found.float()


class Steps(nn.Module):
    """In and out in bfloat16, a loop between that carries such a state, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(8, 4).bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        state = torch.full((len(x), 4), 0.25, dtype=torch.bfloat16)
        for step in range(x.shape[1]):
            state = torch.tanh(self.cell(torch.cat([x[:, step], state], -1)))
        return state


class Mixed(nn.Module):
    """float32 by its weights, bfloat16 by the way it is run."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = self.layer(x).relu()
        return found.float()


CASES = {
    Words: "ids: int64[batch, words] in 0..9; where batch = 1..5, words = 1..12",
    Steps: "x: bfloat16[batch, steps, 4] in -2..2; where batch = 1..5, steps = 1..6",
    Mixed: "x: float32[batch, 4] in -2..2; where batch = 1..9",
}
ORDER = ["onnxport", "onnxport-wide"]


@pytest.mark.parametrize("module", CASES)
def test_it_is_computed_in_float32_where_the_runtime_cannot(
    module: type[nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        module().eval(), tmp_path / "model.onnx", signature=CASES[module], exporters=ORDER
    )
    assert exported.report.holds
    assert exported.artifact.provenance.exporter == "onnxport-wide"


def test_weights_and_what_goes_in_and_out_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    toolkit.export(Steps().eval(), path, signature=CASES[Steps], exporters=ORDER)
    graph = onnx.load(path).graph
    matrices = [w for w in graph.initializer if len(w.dims) == 2]
    ends = [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)]
    assert [w.data_type for w in matrices] == [TensorProto.BFLOAT16]
    assert ends == [TensorProto.BFLOAT16] * 2


def test_nothing_is_left_to_do_where_nothing_is_short(tmp_path: Path) -> None:
    with pytest.raises(OnnxportError, match="nothing is in bfloat16"):
        toolkit.export(
            nn.Linear(4, 4).eval(),
            tmp_path / "model.onnx",
            signature="x: float32[batch, 4]; where batch = 1..4",
            exporters=["onnxport-wide"],
        )


class Half(nn.Module):
    """float16 for a layer; its error is the model's own, and no truth."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3).half()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.half())
        return found.float()


def test_a_runtime_that_rounds_less_than_a_model_in_float16_holds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = Half().eval(), tmp_path / "model.onnx"
    exported = toolkit.export(model, path, signature=CASES[Mixed], exporters=["onnxport"])
    assert exported.report.worst.ratio < 1
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)
    got = ort.InferenceSession(path).run(None, {"x": x})[0]
    with torch.no_grad():
        np.testing.assert_allclose(got, model(torch.from_numpy(x)), atol=2e-3)


class Island(nn.Module):
    """float32 but for a step through float16, which the file has as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.sigmoid(self.first(x)).half().float())
        return found


def test_a_cast_that_the_model_has_itself_is_no_fault(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = Island().eval(), tmp_path / "model.onnx"
    assert toolkit.export(model, path, signature=CASES[Mixed], exporters=["onnxport"]).report.holds
