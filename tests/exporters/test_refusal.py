"""A refusal says the operator or the reason, the module, the user's line, and what to change."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporters.dynamo import Dynamo
from exporters.own import Own
from exporters.torchscript import TorchScript
from toolkit import source
from toolkit.errors import ExportRefused


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.special.bessel_j0(x)
        return result


class Numpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy() * 2)


class OnValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise ValueError("not while it is exported")
        return x


class Host(nn.Module):
    """Holds the culprit two levels down."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.ReLU(), inner])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


CASES = {
    "operator": (
        Bessel(),
        r"^No ONNX function found for prims\.bessel_j0",
        r"result: Tensor = torch\.special\.bessel_j0\(x\)",
        "write it with other operators",
    ),
    "numpy": (
        Numpy(),
        "^the model leaves PyTorch",
        r"return torch\.from_numpy\(x\.numpy\(\) \* 2\)",
        "use torch operators from the inputs to the outputs",
    ),
    "value": (
        OnValue(),
        "^a value decides what is computed: data-dependent expression",
        r"return x \* 2 if x\.sum\(\) > 0 else x",
        "torch.where",
    ),
    "own error": (Broken(), "^ValueError: not while it is exported", "raise ValueError", ""),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[ExportRefused, tuple[str, str, str]]:
    module, *expected = CASES[request.param]
    model = source.load((Host(module).eval(), "x: float32[n, 4]; where n = 2..8"))
    with pytest.raises(ExportRefused) as caught:
        Dynamo().export(model, Path("never.onnx"), opset=20)
    return caught.value, (expected[0], expected[1], expected[2])


def test_it_begins_with_the_reason(case: tuple[ExportRefused, tuple[str, str, str]]) -> None:
    refusal, (reason, _, _) = case
    with pytest.raises(ExportRefused, match=reason):
        raise refusal


def test_it_names_the_module_and_the_users_line(
    case: tuple[ExportRefused, tuple[str, str, str]],
) -> None:
    refusal, (_, line, _) = case
    place = rf"in blocks\.1 \(test_refusal\.py line \d+: .*{line}"
    with pytest.raises(ExportRefused, match=place):
        raise refusal


def test_it_says_what_to_change_where_that_is_known(
    case: tuple[ExportRefused, tuple[str, str, str]],
) -> None:
    refusal, (_, _, advice) = case
    assert advice in refusal.hint


def test_it_is_one_line_and_holds_no_folder(
    case: tuple[ExportRefused, tuple[str, str, str]],
) -> None:
    refusal, _ = case
    assert "\n" not in refusal.message
    assert str(Path(__file__).parent) not in refusal.message


def test_the_tracer_of_torchscript_is_as_precise(tmp_path: Path) -> None:
    model = source.load((Host(Bessel()).eval(), "x: float32[n, 4]; where n = 2..8"))
    with pytest.raises(ExportRefused, match="aten::special_bessel_j0") as caught:
        TorchScript().export(model, tmp_path / "m.onnx", opset=20)
    assert caught.value.hint == "write it with other operators of torch"


class Unpacks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, *_ = list(x)
        return first


def test_what_a_sequence_of_unknown_length_cannot_do_has_its_line_and_advice() -> None:
    model = source.load((Unpacks().eval(), "x: float32[n, 4]; where n = 2..8"))
    text = r"^the steps of a loop .* iterated over outside one, in test_refusal.py line \d+: first,"
    with pytest.raises(ExportRefused, match=text) as caught:
        Own().export(model, Path("never.onnx"), opset=20)
    assert caught.value.hint == "compute with tensors, or loop over the sequence itself"


PACKAGES = {
    "drawn_net": "from torch import nn\nfrom drawn_help import halves\n\n"
    "class Net(nn.Module):\n    def forward(self, x):\n        return halves(x)\n",
    "drawn_help": "def halves(x):\n    return x[: int(x.sum())]\n",
}


def test_it_quotes_the_package_that_the_model_is_of_and_none_that_it_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    for name, code in PACKAGES.items():
        (installed / name).mkdir(parents=True)
        (installed / name / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(installed))
    net = import_module("drawn_net").Net().eval()
    model = source.load((Host(net).eval(), "x: float32[n, 4] in 0..1; where n = 2..8"))
    with pytest.raises(ExportRefused, match=r"in blocks\.1 \(__init__\.py line 6: return halves"):
        Dynamo().export(model, tmp_path / "m.onnx", opset=20)
