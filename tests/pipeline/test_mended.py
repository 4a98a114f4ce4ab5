"""Faults below what float32 can tell are proven in float64; rewrites that are right stay silent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper, parser
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from benchmarks.mutants.right import REWRITES, rewritten
from toolkit import source
from toolkit.artifact import open_artifact, read_weights
from toolkit.parity.cases import Case
from toolkit.parity.flaw import Flaw
from toolkit.parity.mending import of_weights
from toolkit.parity.results import CaseResult
from toolkit.pipeline.mended import unseen
from toolkit.pipeline.references import reference_model

SIGNATURE = "x: float32[batch, 2, 6] in -1..1; where batch = 1..4"
RESULTS = [CaseResult(Case((("batch", size),), "uniform", size)) for size in (2, 3)]


class Quiet(nn.Module):
    """Values so small that both kinds of Gelu agree to the last digit of float32.

    Its numbers are float32's own: what rounding them costs would be as much.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4)
        self.norm = nn.BatchNorm1d(2)
        self.last = nn.GELU(approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.gelu(self.first(self.norm(x)) * 0.0625)
        hidden = functional.leaky_relu(functional.layer_norm(hidden, (8,), eps=1e-12), 0.25)
        return self.last(self.second(hidden))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mended") / "m.onnx"
    toolkit.export((Quiet().eval(), SIGNATURE), path, budget=1.0)
    return path


def flaws(model: ModelProto, path: Path, module: nn.Module | None = None) -> list[Flaw]:
    onnx.save(model, str(path))
    reference = reference_model(source.load((module or Quiet().eval(), SIGNATURE)))
    return unseen(open_artifact(path, reference.signature), reference, RESULTS, seconds=60.0)


def told(model: ModelProto, operator: str, name: str, value: str | float, at: int = 0) -> None:
    node = [n for n in model.graph.node if n.op_type == operator][at]
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def scaled(model: ModelProto, name: str, by: float) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor) * np.float32(by)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def through_float16(model: ModelProto) -> None:
    """Behind the first Gelu, whose values are too small for what is lost to show."""
    gelu = next(n for n in model.graph.node if n.op_type == "Gelu")
    name, gelu.output[0] = gelu.output[0], "before"
    there = helper.make_node("Cast", ["before"], ["half"], "there", to=onnx.TensorProto.FLOAT16)
    back = helper.make_node("Cast", ["half"], [name], "back", to=onnx.TensorProto.FLOAT)
    place = [n.name for n in model.graph.node].index(gelu.name)
    for node in (back, there):
        model.graph.node.insert(place + 1, node)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (through_float16, "node 'there' (Cast) rounds to float16, the original does not"),
        (
            lambda m: told(m, "Gelu", "approximate", "tanh"),
            "(Gelu) has approximate 'tanh', expected 'none'",
        ),
        (
            lambda m: told(m, "Gelu", "approximate", "none", at=1),
            "(Gelu) has approximate 'none', expected 'tanh'",
        ),
        (
            lambda m: told(m, "LayerNormalization", "epsilon", 1e-11),
            "(LayerNormalization) has epsilon 1e-11, expected 1e-12",
        ),
        (lambda m: told(m, "LeakyRelu", "alpha", 0.3), "(LeakyRelu) has alpha 0.3, expected 0.25"),
        (
            lambda m: scaled(m, "norm.weight", 1.001),
            "weight 'norm.weight' differs from the original's in 2 of 2 elements: 1.00100005,"
            " expected 1 at [0]",
        ),
        (
            lambda m: scaled(m, "second.bias", 1.00001),
            "weight 'second.bias' differs from the original's in 4 of 4 elements",
        ),
    ],
    ids=["half", "exact", "tanh", "epsilon", "slope", "norm", "weight"],
)
def test_a_fault_is_proven(
    file: Path, tmp_path: Path, change: Callable[[ModelProto], None], expected: str
) -> None:
    model = onnx.load(str(file))
    change(model)
    (flaw,) = flaws(model, tmp_path / "m.onnx")
    assert expected in flaw.told


def test_a_check_fails_by_what_no_case_shows(file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    told(model, "Gelu", "approximate", "tanh")
    onnx.save(model, str(tmp_path / "m.onnx"))
    report = toolkit.check(tmp_path / "m.onnx", against=Quiet().eval(), budget=2.0)
    assert not report.failures
    assert report.reason.endswith("has approximate 'tanh', expected 'none'")


@pytest.mark.parametrize("name", sorted(REWRITES.keys() - {"onnxslim", "opset 19"}))
def test_a_right_rewrite_stays_silent(file: Path, tmp_path: Path, name: str) -> None:
    model = rewritten(onnx.load(str(file)), name)
    assert model is not None
    assert flaws(model, tmp_path / "m.onnx") == []


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


class Folded(nn.Module):
    """What an exporter makes one convolution of, with other weights under the same names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.convolution(x))
        return y


def test_a_norm_that_was_folded_is_suspected_and_stays_silent(tmp_path: Path) -> None:
    module, path = Folded().eval(), tmp_path / "m.onnx"
    toolkit.export((module, SIGNATURE), path, budget=1.0)
    assert of_weights(weights_of(module), read_weights(open_artifact(path)))
    assert flaws(onnx.load(str(path)), path, module) == []


def test_a_factor_that_moved_behind_a_layer_stays_silent(tmp_path: Path) -> None:
    module, path = nn.Linear(6, 3), tmp_path / "m.onnx"
    toolkit.export((module, SIGNATURE), path, budget=1.0)
    model = onnx.load(str(path))
    for name in [t.name for t in model.graph.initializer if t.name.startswith(("weight", "bias"))]:
        scaled(model, name, 1 / 1.001)
    factor = numpy_helper.from_array(np.float32(1.001).reshape(1), "factor")
    model.graph.initializer.append(factor)
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = "smaller"
    model.graph.node.append(helper.make_node("Mul", ["smaller", "factor"], [output]))
    assert flaws(model, path, module) == []
    assert of_weights(weights_of(module), read_weights(open_artifact(path)))


class Written(nn.Module):
    """Writes one Gelu out, which a fusion makes a node of; the other is exact."""

    def forward(self, x: Tensor) -> Tensor:
        cubic = x + 0.044715 * x**3
        return functional.gelu(0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * cubic)))


def test_a_gelu_that_was_fused_stays_silent(tmp_path: Path) -> None:
    fused = parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
        main (float[batch, 2, 6] x) => (float[batch, 2, 6] y) {
            inner = Gelu <approximate = "tanh"> (x)
            y = Gelu (inner)
        }""")
    assert flaws(fused, tmp_path / "m.onnx", Written().eval()) == []


def test_an_original_that_does_not_run_in_float64_says_nothing(file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    scaled(model, "norm.weight", 1.001)
    onnx.save(model, str(tmp_path / "m.onnx"))
    reference = reference_model(source.load((Quiet().eval(), SIGNATURE)))
    reference._exact = None
    artifact = open_artifact(tmp_path / "m.onnx", reference.signature)
    assert unseen(artifact, reference, RESULTS, seconds=60.0) == []
