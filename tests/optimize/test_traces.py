"""What exporters note of the author's machine goes; the paths of modules stay."""

from pathlib import Path

import pytest
from onnx import ModelProto

from tests.graphs import parsed
from toolkit.optimize.naming import SCOPES
from toolkit.optimize.traces import CLASSES, TRACE, strip
from toolkit.proto import graphs

TEXT = """
    (float[n] x, bool c) => (float[n] y) <float w = {3}> {
        h = Mul(x, w)
        y = If(c) <
            then_branch = t () => (float[n] a) { a = Add(h, w) },
            else_branch = e () => (float[n] b) {
                k = Constant<value: tensor = float {2}>()
                b = Sub(h, k)
            }
        >
    }
"""
HOME = "/home/author/secret/net.py"
PYTHON = f'File "{HOME}", line 7, in forward\n    return self.out(x)  # (half) / 2'
SCRIPT = f"{HOME}(7): forward\n/usr/lib/python3/site-packages/torch/nn/modules/module.py(1): call"


def stripped(model: ModelProto, *, keep_trace: bool = False) -> ModelProto:
    strip(model, keep_trace=keep_trace)
    return model


def notes(model: ModelProto) -> dict[str, str]:
    return {p.key: p.value for p in model.graph.node[0].metadata_props}


def test_nothing_anywhere_names_a_folder_of_the_author() -> None:
    model = parsed(TEXT)
    all_graphs = graphs(model.graph)
    all_nodes = [node for graph in all_graphs for node in graph.node]
    owners = [model, *all_graphs, *all_nodes, *model.graph.input, *model.graph.output]
    owners += [*model.graph.initializer, *(a for n in all_nodes for a in n.attribute)]
    owners += [a.t for n in all_nodes for a in n.attribute if a.HasField("t")]
    for owner in owners:
        owner.doc_string = HOME
        if hasattr(owner, "metadata_props"):
            owner.metadata_props.add(key=TRACE, value=PYTHON)
            owner.metadata_props.add(key="pkg.torch.anything.new", value=HOME)
    assert len(owners) > 15
    assert b"author" not in stripped(model).SerializeToString()


def test_the_programs_own_dump_goes() -> None:
    model = parsed(TEXT)
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.fx_node", value="%add_3")
    assert notes(stripped(model)) == {}


def test_notes_of_others_stay() -> None:
    model = parsed(TEXT)
    model.graph.node[0].metadata_props.add(key="mine", value="kept")
    assert notes(stripped(model)) == {"mine": "kept"}


def test_module_paths_and_classes_stay_from_the_users_module_on() -> None:
    model = parsed(TEXT)
    for key, value in {
        "namespace": ": toolkit.model.Flat/model: net.Net/model.out: Linear/mul: aten.mul.Tensor",
        SCOPES: "['', 'model', 'model.out', 'mul']",
        CLASSES: "['toolkit.model.Flat', 'net.Net', 'Linear', 'aten.mul.Tensor']",
    }.items():
        model.graph.node[0].metadata_props.add(key=key, value=value)
    assert notes(stripped(model)) == {
        "namespace": ": net.Net/out: Linear/mul: aten.mul.Tensor",
        SCOPES: "['', 'out', 'mul']",
        CLASSES: "['net.Net', 'Linear', 'aten.mul.Tensor']",
    }


def test_a_trace_that_is_kept_has_names_of_files_only() -> None:
    model = parsed(TEXT)
    model.graph.node[0].metadata_props.add(key=TRACE, value=PYTHON)
    kept = notes(stripped(model, keep_trace=True))[TRACE]
    assert kept == PYTHON.replace(HOME, "net.py")


def test_a_trace_of_torchscript_is_kept_in_the_same_place() -> None:
    model = parsed(TEXT)
    model.graph.node[0].doc_string = SCRIPT
    kept = notes(stripped(model, keep_trace=True))[TRACE]
    assert kept == "net.py(7): forward\nmodule.py(1): call"
    assert model.graph.node[0].doc_string == ""


def test_files_below_the_current_folder_are_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = parsed(TEXT)
    trace = f'File "{tmp_path}/nets/net.py", line 7, in forward'
    model.graph.node[0].metadata_props.add(key=TRACE, value=trace)
    found = notes(stripped(model, keep_trace=True))[TRACE]
    assert found == f'File "{Path("nets/net.py")}", line 7, in forward'
