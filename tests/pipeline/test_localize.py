"""A failing check says where: the node that was changed, its module, the line that made it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn

import toolkit
from tests import models
from tests.graphs import saved
from tests.pipeline.originals import traced
from toolkit.artifact import Provenance, open_artifact, save
from toolkit.parity.cases import Case
from toolkit.parity.fidelity import Budget
from toolkit.parity.located import Located
from toolkit.parity.results import CaseResult, ParityReport
from toolkit.parity.verdict import Judgement, Tolerance
from toolkit.pipeline.localize import locate
from toolkit.pipeline.references import reference_file, reference_model
from toolkit.source import load

Mutation = Callable[[ModelProto], object]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, Path]]:
    """Small models beside the files that `export` makes of them, with their source lines."""
    folder = tmp_path_factory.mktemp("originals")
    made = {}
    for make in (models.encoder, models.convolutional, models.recurrent, models.stacked):
        model = make()
        path = folder / f"{make.__name__}.onnx"
        toolkit.export(model, path, budget=0.5, keep_trace=True)
        made[make.__name__] = model[0], path
    return made


def node(model: ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def edited(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Mutation:
    def change(model: ModelProto) -> None:
        (tensor,) = (t for t in model.graph.initializer if t.name == name)
        array = np.ascontiguousarray(edit(numpy_helper.to_array(tensor).copy()))
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def moved(array: np.ndarray) -> np.ndarray:
    array.flat[np.abs(array).argmax()] *= 1.01
    return array


def attribute(name: str, key: str, value: float) -> Mutation:
    def change(model: ModelProto) -> None:
        found = node(model, name)
        kept = [a for a in found.attribute if a.name != key]
        del found.attribute[:]
        found.attribute.extend([*kept, helper.make_attribute(key, value)])

    return change


def without_bias(name: str) -> Mutation:
    def change(model: ModelProto) -> None:
        del node(model, name).input[2:]

    return change


def bypassed(name: str) -> Mutation:
    def change(model: ModelProto) -> None:
        found = node(model, name)
        found.op_type, found.input[:] = "Identity", [found.input[0]]

    return change


def located(
    original: nn.Module | Path, path: Path, text: str, *, seconds: float = 60.0
) -> Located | None:
    """What is found of a file that fails a case, without running the check first."""
    artifact = open_artifact(path)
    signature = artifact.signature
    case = Case.parse(text, signature)
    failed = tuple(Judgement(s.name, False) for s in signature.outputs)
    report = ParityReport("m", "o", signature, "cpu", (CaseResult(case, failed),))
    if isinstance(original, Path):
        file = open_artifact(original)
        with reference_file(file) as reference:
            found = locate(report, artifact, reference, original=file, seconds=seconds)
    else:
        reference = reference_model(load(original, signature=signature))
        found = locate(report, artifact, reference, seconds=seconds)
    return found.located if found else None


CASES = {
    "encoder": "batch=2,tokens=3,fill=uniform,seed=0",
    "convolutional": "batch=2,h=8,w=12,fill=uniform,seed=0",
    "recurrent": "batch=2,time=3,fill=uniform,seed=0",
    "stacked": "time=3,batch=2,fill=uniform,seed=0",
}
NORM = "layers.0/LayerNormalization"
MUTANTS: list[tuple[str, str, Mutation]] = [
    ("encoder", "layers.0/Softmax", attribute("layers.0/Softmax", "axis", 1)),
    ("encoder", NORM, attribute(NORM, "epsilon", 0.1)),
    ("encoder", "layers.0/MatMul_7", edited("layers.0.linear1.weight.T", moved)),
    ("encoder", "layers.0/MatMul_6", edited("layers.0.self_attn.out_proj.weight.T", np.transpose)),
    ("encoder", "layers.0/Add_6", edited("layers.0.linear1.bias", np.zeros_like)),
    ("encoder", NORM, bypassed("layers.0/Add_5")),  # what reads the value that is missing
    ("convolutional", "out/Gemm", without_bias("out/Gemm")),
    ("recurrent", "lstm/LSTM", edited("lstm.R_l0", moved)),
    ("stacked", "gru/GRU_2", attribute("gru/GRU_2", "linear_before_reset", 0)),
]


@pytest.mark.parametrize(("name", "expected", "mutation"), MUTANTS, ids=[m[1] for m in MUTANTS])
def test_names_the_node_that_was_changed(
    originals: dict[str, tuple[nn.Module, Path]],
    tmp_path: Path,
    name: str,
    expected: str,
    mutation: Mutation,
) -> None:
    model, path = originals[name]
    proto = onnx.load(str(path))
    mutation(proto)
    onnx.save(proto, str(tmp_path / "mutant.onnx"))
    found = located(model, tmp_path / "mutant.onnx", CASES[name])
    assert found
    assert found.departure
    assert found.departure.node == expected


def test_names_the_module_and_the_users_line(
    originals: dict[str, tuple[nn.Module, Path]], tmp_path: Path
) -> None:
    model, path = originals["convolutional"]
    proto = onnx.load(str(path))
    without_bias("out/Gemm")(proto)
    onnx.save(proto, str(tmp_path / "mutant.onnx"))
    report = toolkit.check(
        tmp_path / "mutant.onnx", against=model, limit=1, budget=20.0, explain=True
    )
    assert report.located
    found = report.located.departure
    assert found
    assert (found.node, found.module) == ("out/Gemm", "out")
    assert found.line.startswith("tests/models.py:")
    assert report.to_dict()["located"]["departure"]["node"] == "out/Gemm"
    assert report.located.blame == ("a change since: exported again by 'onnxport' the case holds",)


def test_what_shows_in_no_output_is_located_by_what_proves_it(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8, eps=1e-12)).eval()
    signature = "x: float32[n, 8]; where n = 1..4"
    toolkit.export((model, signature), tmp_path / "m.onnx", budget=0.5)
    proto = onnx.load(str(tmp_path / "m.onnx"))
    (norm,) = (n.name for n in proto.graph.node if n.op_type == "LayerNormalization")
    attribute(norm, "epsilon", 1e-11)(proto)
    onnx.save(proto, str(tmp_path / "mutant.onnx"))
    report = toolkit.check(
        tmp_path / "mutant.onnx", against=model, signature=signature, budget=2.0, explain=True
    )
    assert not report.failures
    assert report.located
    assert report.located.departure
    assert (report.located.departure.node, report.located.departure.module) == (norm, "1")


def renamed(model: ModelProto) -> None:
    """Every inner value and node gets another name, as a tool of somebody else's does."""
    public = {v.name for v in (*model.graph.input, *model.graph.output)}
    names: dict[str, str] = {}
    for number, found in enumerate(model.graph.node):
        found.name = f"n{number}"
        for index, name in enumerate(found.output):
            if name not in public:
                found.output[index] = names.setdefault(name, f"v{len(names)}")
        found.input[:] = [names.get(name, name) for name in found.input]


@pytest.mark.parametrize("strange", [False, True], ids=["same names", "other names"])
def test_compares_two_files_by_name_or_by_structure(
    originals: dict[str, tuple[nn.Module, Path]], tmp_path: Path, strange: bool
) -> None:
    _, path = originals["encoder"]
    proto = onnx.load(str(path))
    attribute("layers.0/Softmax", "axis", 1)(proto)
    place = [n.name for n in proto.graph.node].index("layers.0/Softmax")
    if strange:
        renamed(proto)
    onnx.save(proto, str(tmp_path / "mutant.onnx"))
    found = located(path, tmp_path / "mutant.onnx", CASES["encoder"])
    assert found
    assert found.departure
    assert found.departure.node == proto.graph.node[place].name
    assert found.departure.expected == "layers.0/Softmax"


class SloppyGelu(nn.Module):
    """The root of two to four digits: ONNX Runtime takes it for a Gelu and uses the true root."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.erf(x / 1.4142)) * 0.5


def test_names_the_optimization_of_onnxruntime_that_changes_the_result(tmp_path: Path) -> None:
    signature = "x: float32[n] in -1..1\nwhere n = 100..200\n-> y: float32[n]"
    text = """(float[n] x) => (float[n] y) {
        a = Div(x, root)
        b = Erf(a)
        c = Add(b, one)
        d = Mul(x, c)
        y = Mul(d, half)
    }"""
    scalars = {"root": 1.4142, "one": 1.0, "half": 0.5}
    weights = {n: np.array(v, np.float32) for n, v in scalars.items()}
    artifact = saved(tmp_path / "gelu.onnx", text, signature, **weights)
    strict = Tolerance(atol=1e-6)
    report = toolkit.check(
        artifact, against=(SloppyGelu(), signature), limit=1, tolerance=strict, explain=True
    )
    assert not report.holds
    assert report.located
    (blame,) = report.located.blame
    assert "right at level 'disabled', wrong at level 'basic'" in blame
    assert "disabled_optimizers=['GeluFusionL1']" in blame


@pytest.mark.parametrize("against", ["module", "file"])
def test_a_rounded_file_says_which_layers_lose_the_most(
    originals: dict[str, tuple[nn.Module, Path]], tmp_path: Path, against: str
) -> None:
    model, path = originals["convolutional"]
    proto = onnx.load(str(path))
    edited("out.weight", lambda a: np.rint(a * 8) / np.float32(8))(proto)
    onnx.save(proto, str(tmp_path / "rounded.onnx"))
    report = toolkit.check(
        tmp_path / "rounded.onnx",
        against=model if against == "module" else path,
        limit=2,
        budget=20.0,
        fidelity=Budget(min_sqnr=120.0),
        explain=True,
    )
    assert not report.holds
    assert report.located
    first, second, *_ = report.located.weakest
    assert first.module == "out"
    assert (first.sqnr or 99.0) < 40.0
    assert (second.sqnr or 0.0) > 100.0


def test_an_exporter_that_is_wrong_itself_is_named(tmp_path: Path) -> None:
    model, signature = models.parsed(models.lookup())
    path = traced(model, signature, {"batch": 5}, tmp_path / "raw.onnx", dynamo=False)
    made = Provenance(exporter="torchscript", opset=20)
    artifact = save(onnx.load(str(path)), tmp_path / "m.onnx", signature, made)
    report = toolkit.check(
        artifact, against=model, case="batch=3,fill=uniform,seed=0", explain=True
    )
    assert report.located
    (blame,) = report.located.blame
    assert blame == "the exporter 'torchscript': what it writes is wrong before any other stage"


def test_where_a_value_does_not_fit_the_size_that_was_baked_is_named(tmp_path: Path) -> None:
    model, signature = models.parsed(models.encoder())
    sizes = {"batch": 1, "tokens": 5}
    path = traced(model, signature, sizes, tmp_path / "m.onnx", dynamo=False)
    report = toolkit.check(
        path,
        against=model,
        signature=signature,
        case="batch=1,tokens=7,fill=uniform,seed=0",
        explain=True,
    )
    assert "Name:" in report.reason
    assert report.located
    departure = report.located.departure
    assert departure
    assert departure.module == "layers.0.self_attn"
    (constant,) = (n for n in onnx.load(str(path)).graph.node if n.name == departure.node)
    assert numpy_helper.to_array(constant.attribute[0].t).item() == sizes["tokens"]
    (blame,) = report.located.blame
    assert blame.endswith("is told a size of 5 where 7 would fit")


def test_a_refusal_of_the_runtime_names_its_node(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    signature = "x: float32[n, 3]; where n = 1..4"
    toolkit.export((nn.Linear(3, 3).eval(), signature), path, budget=1.0)
    proto = onnx.load(str(path))
    (gemm,) = (n for n in proto.graph.node if n.op_type == "Gemm")
    gemm.input[0], gemm.input[1] = gemm.input[1], gemm.input[0]
    onnx.save(proto, str(path))
    case = "n=4,fill=uniform,seed=0"
    report = toolkit.check(
        path, against=nn.Linear(3, 3).eval(), signature=signature, case=case, explain=True
    )
    assert gemm.name in report.reason
    assert report.located
    assert report.located.departure
    assert report.located.departure.node == gemm.name


class Strided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3 * 6 * 6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.first(x)).flatten(1))


@pytest.mark.parametrize("batch", [3, 4])  # 4 x 27 numbers can be one row of 108, 3 x 27 cannot
def test_what_makes_a_shape_that_the_original_never_has_is_named_not_where_it_is_refused(
    tmp_path: Path, batch: int
) -> None:
    model, signature = Strided().eval(), "x: float32[batch, 1, 8, 8]; where batch = 1..4"
    path = tmp_path / "m.onnx"
    toolkit.export((model, signature), path, budget=1.0)
    proto = onnx.load(str(path))
    (conv,) = (n for n in proto.graph.node if n.op_type == "Conv")
    kept = [a for a in conv.attribute if a.name != "strides"]
    del conv.attribute[:]
    conv.attribute.extend([*kept, onnx.helper.make_attribute("strides", [2, 2])])
    del proto.graph.value_info[:]
    onnx.save(proto, str(path))
    report = toolkit.check(
        path,
        against=model,
        signature=signature,
        case=f"batch={batch},fill=uniform,seed=0",
        explain=True,
    )
    assert ("Name:" in report.reason) == (batch == 3)
    assert report.located
    assert report.located.departure
    assert report.located.departure.node == conv.name
    assert report.located.departure.module == "first"


class Total(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 1.5).square().sum(0, keepdim=True) * 2


def test_names_the_kernel_that_rounds_the_most(tmp_path: Path) -> None:
    signature = "x: float32[n] in 0..0.6\nwhere n = 20000..20001\n-> y: float32[1]"
    text = """(float[n] x) => (float[1] y) {
        a = Mul(x, most)
        c = ReduceSumSquare(a)
        y = Mul(c, two)
    }"""
    weights = {"most": np.float32(1.5), "two": np.float32(2)}
    arrays = {n: np.array(v) for n, v in weights.items()}
    artifact = saved(tmp_path / "total.onnx", text, signature, **arrays)
    report = toolkit.check(
        artifact,
        against=(Total(), signature),
        case="n=20000,fill=high,seed=0",
        tolerance=Tolerance(rtol=1e-6),
        explain=True,
    )
    assert report.located
    assert report.located.departure
    assert report.located.departure.operator == "ReduceSumSquare"
    assert report.located.blame == (
        "the graph is right in float64: a kernel of onnxruntime is off",
    )
