"""torch.export and the exporter on it: dimensions stay open, narrower programs are refused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporters.dynamo import Dynamo
from tests import models
from tests.exporters.images import assert_holds_at_every_size
from toolkit import source
from toolkit.errors import ExportRefused

Axes = list[int | str]


def exported(made: tuple[nn.Module, str], path: Path, opset: int = 20) -> onnx.ModelProto:
    Dynamo().export(source.load(made), path, opset=opset)
    return onnx.load(str(path))


def axes(model: onnx.ModelProto) -> dict[str, Axes]:
    """The declared sizes of inputs and outputs, or the names that torch gives to open ones."""
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }


@pytest.mark.parametrize("sizes", ["1..8", "{2, 4, 6}", "4..16 step 4", "3..19 step 4"])
def test_a_dimension_that_varies_stays_open(tmp_path: Path, sizes: str) -> None:
    made = nn.ReLU().eval(), f"x: float32[n, 4]; where n = {sizes}"
    found = axes(exported(made, tmp_path / "m.onnx"))
    assert isinstance(found["x"][0], str)
    assert found["output"] == found["x"]


def test_a_dimension_of_one_size_is_fixed(tmp_path: Path) -> None:
    made = nn.ReLU().eval(), "x: float32[n, 4]; where n = 3"
    assert axes(exported(made, tmp_path / "m.onnx")) == {"x": [3, 4], "output": [3, 4]}


class Named(nn.Module):
    """Its output has the name that torch gives to a value on the way to it."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"relu": x.relu().tanh()}


def test_an_output_may_have_the_name_of_an_inner_value(tmp_path: Path) -> None:
    made = Named().eval(), "x: float32[n, 4]; where n = 1..8"
    onnx.checker.check_model(exported(made, tmp_path / "m.onnx"))
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    (found,) = ort.InferenceSession(str(tmp_path / "m.onnx")).run(["relu"], {"x": x})
    np.testing.assert_allclose(found, np.tanh(np.maximum(x, 0)), atol=1e-6)


def test_inputs_share_the_dimensions_that_the_signature_shares(tmp_path: Path) -> None:
    found = axes(exported(models.tokens(), tmp_path / "m.onnx"))
    batch, tokens = found["ids"]
    assert batch != tokens
    assert found == {
        "ids": [batch, tokens],
        "mask": [batch, tokens],
        "logits": [batch, tokens, 20],
        "best": [batch, tokens],
    }


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A model over heights and widths in steps of 4."""
    made = models.convolutional()
    path = tmp_path_factory.mktemp("convolutional") / "m.onnx"
    exported(made, path)
    return made[0], path


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 8), (4, 24, 8), (3, 12, 20)])
def test_a_file_over_steps_runs_at_every_step(
    convolutional: tuple[nn.Module, Path], batch: int, height: int, width: int
) -> None:
    module, path = convolutional
    pixels = np.random.default_rng(0).random((batch, 1, height, width), np.float32)
    (found,) = ort.InferenceSession(str(path)).run(None, {"pixels": pixels})
    with torch.no_grad():
        expected = module(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_opset_is_the_one_asked_for(tmp_path: Path) -> None:
    model = exported(models.linear(), tmp_path / "m.onnx", opset=18)
    assert {o.version for o in model.opset_import if o.domain == ""} == {18}


class Wide(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[1] > 9 else x


def wide(sizes: str) -> tuple[nn.Module, str]:
    return Wide().eval(), f"x: float32[n, w]; where n = 1..8, w = {sizes}"


BRANCH = r"\nmodels\.py line \d+: return x \* 2 if x\.shape\[0\] > 3 else x \+ 1$"
WIDE = r"\ntest_dynamo\.py line \d+: return x \* 2 if x\.shape\[1\] > 9 else x$"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (models.branch(), rf"^'batch' is declared 1\.\.16, .* holds for 4\.\.16{BRANCH}"),
        (wide("1..16"), rf"^'w' is declared 1\.\.16, .* holds for .*{WIDE}"),
        (wide("4..16 step 4"), rf"^'w' is declared 4\.\.16, .* holds for .*{WIDE}"),
        (wide("3..19 step 4"), rf"^'w' is declared 3\.\.19, .* holds for .*{WIDE}"),
    ],
    ids=["batch", "width", "width in multiples of its step", "width in steps"],
)
def test_refuses_a_branch_on_a_size_and_shows_its_line(
    tmp_path: Path, made: tuple[nn.Module, str], reason: str
) -> None:
    with pytest.raises(ExportRefused, match=reason):
        exported(made, tmp_path / "m.onnx")


def test_refuses_a_recurrent_model_whose_length_it_freezes(tmp_path: Path) -> None:
    """torch 2.13 unrolls an LSTM over the length of the example."""
    with pytest.raises(ExportRefused, match=r"'time' is declared 1\.\.20, .* for 7\n.*self\.lstm"):
        exported(models.recurrent(), tmp_path / "m.onnx")


class OnValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.special.bessel_j0(x)
        return result


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (OnValues(), "data-dependent expression"),
        (Bessel(), "No ONNX function found for.*bessel_j0"),
    ],
)
def test_refuses_what_has_no_graph_in_one_line(
    tmp_path: Path, module: nn.Module, reason: str
) -> None:
    with pytest.raises(ExportRefused, match=reason) as caught:
        exported((module.eval(), "x: float32[n]; where n = 1..8"), tmp_path / "m.onnx")
    assert "\n" not in caught.value.message


class OnePixel(nn.Module):
    """A last feature map that is one pixel for some images, normalized and resized."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3, 4, 3, 64, padding)
        self.norm = nn.LayerNorm(4)
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        y = self.norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return functional.interpolate(self.last(y * y.sigmoid()), scale_factor=2).mean((2, 3))


class OneWindow(nn.Module):
    """Attention in windows of 7 by 7, of which there is one for some images."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.qkv = nn.Conv2d(3, 8, 16, 16), nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x).permute(0, 2, 3, 1)
        n, h, w, c = y.shape
        y = functional.pad(y, (0, 0, 0, (7 - w % 7) % 7, 0, (7 - h % 7) % 7))
        rows, columns = y.shape[1] // 7, y.shape[2] // 7
        y = y.reshape(n, rows, 7, columns, 7, c).transpose(2, 3)
        q, k, v = self.qkv(y).reshape(n, rows * columns, 49, 3, c).permute(3, 0, 1, 2, 4)
        y = functional.scaled_dot_product_attention(q, k, v)
        y = y.reshape(n, rows, columns, 7, 7, c).transpose(2, 3)
        y = y.reshape(n, rows * 7, columns * 7, c)[:, :h, :w].contiguous()
        return y.reshape(n, h * w, c).mean(1)


@pytest.mark.parametrize("made", [partial(OnePixel, 0), partial(OnePixel, 1), OneWindow])
def test_what_is_one_in_the_example_may_be_more(
    tmp_path: Path, made: Callable[[], nn.Module]
) -> None:
    assert_holds_at_every_size(made, tmp_path / "m.onnx")
