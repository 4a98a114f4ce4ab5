"""The tracing exporter: native recurrent nodes, the newest opset it knows, branches taken once."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from exporters.torchscript import TorchScript
from tests import models
from toolkit import source
from toolkit.errors import ExportRefused


def exported(made: tuple[nn.Module, str], path: Path, opset: int = 20) -> onnx.ModelProto:
    TorchScript().export(source.load(made), path, opset=opset)
    return onnx.load(str(path))


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    made = models.recurrent()
    path = tmp_path_factory.mktemp("recurrent") / "m.onnx"
    exported(made, path)
    return made[0], path


def test_an_lstm_stays_one_node(recurrent: tuple[nn.Module, Path]) -> None:
    operators = [n.op_type for n in onnx.load(str(recurrent[1])).graph.node]
    assert operators.count("LSTM") == 1


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (2, 20), (6, 3)])
def test_an_lstm_runs_at_every_length(
    recurrent: tuple[nn.Module, Path], batch: int, time: int
) -> None:
    module, path = recurrent
    x = np.random.default_rng(0).standard_normal((batch, time, 3)).astype(np.float32)
    scores, last = ort.InferenceSession(str(path)).run(None, {"x": x})
    with torch.no_grad():
        expected = module(torch.from_numpy(x))
    np.testing.assert_allclose(scores, expected["scores"].numpy(), atol=1e-6)
    np.testing.assert_allclose(last, expected["last"].numpy(), atol=1e-6)


def test_inputs_and_outputs_have_the_names_and_dimensions_of_the_signature(tmp_path: Path) -> None:
    graph = exported(models.tokens(), tmp_path / "m.onnx").graph
    found = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.output)
    }
    assert found == {
        "ids": ["batch", "tokens"],
        "mask": ["batch", "tokens"],
        "logits": ["batch", "tokens", 20],
        "best": ["batch", "tokens"],
    }


@pytest.mark.parametrize(("asked", "written"), [(17, 17), (20, 20), (23, 20)])
def test_the_opset_is_the_one_asked_for_up_to_20(tmp_path: Path, asked: int, written: int) -> None:
    model = exported(models.linear(), tmp_path / "m.onnx", asked)
    assert [o.version for o in model.opset_import] == [written]


def test_a_branch_is_taken_as_the_example_took_it(tmp_path: Path) -> None:
    """The module gives x + 1 below a batch of 4. No word here: the parity check finds it."""
    exported(models.branch(), tmp_path / "m.onnx")
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    (y,) = session.run(None, {"x": np.full((1, 4), 5, np.float32)})
    np.testing.assert_array_equal(y, np.full((1, 4), 10))


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.special.bessel_j0(x)
        return result


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ((Bessel().eval(), "x: float32[n]; where n = 1..8"), "special_bessel_j0.*not supported"),
        (models.adaptive_pool(), "adaptive_avg_pool2d, input size not accessible"),
    ],
    ids=["unknown operator", "size not known"],
)
def test_refuses_what_it_cannot_write_in_one_line(
    tmp_path: Path, made: tuple[nn.Module, str], reason: str
) -> None:
    with pytest.raises(ExportRefused, match=reason) as caught:
        exported(made, tmp_path / "m.onnx")
    assert "\n" not in caught.value.message
