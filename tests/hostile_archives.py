"""Edits of a plain `.pt2` archive (a program with input `x`, a weight `scale` and a last node that
adds) that make torch.export.load or the loaded program create a file, the marker."""

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Edit = Callable[[str, bytes], bytes]
"""The new content of a record, from its name and its old content."""

Hostile = Callable[[Path], Edit]
"""The edit that would create this marker."""

PROGRAM, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
WEIGHT, WEIGHTS = "data/weights/weight_0", "data/weights/model_weights_config.json"
LEAF = {"type": None, "context": None, "children_spec": []}


def rewrite(source: Path, target: Path, edit: Edit, *more: str) -> None:
    """Copy an archive with every record edited, and `more` empty records."""
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        if not name.startswith(".data/") and name not in ("byteorder", "version"):
            data = edit(name, reader.get_record(name))
            writer.write_record(name, data, len(data))
    for name in more:
        writer.write_record(name, b"", 0)
    writer.write_end_of_file()


def python(marker: Path) -> str:
    return f"__import__('os').system('touch {marker}')"


def in_json(member: str, change: Callable[[Any, Path], Any]) -> Hostile:
    """`change` edits the content of the member in place, or returns another."""

    def hostile(marker: Path) -> Edit:
        def edit(name: str, data: bytes) -> bytes:
            if name != member:
                return data
            content = json.loads(data)
            return json.dumps(change(content, marker) or content).encode()

        return edit

    return hostile


class _Creates:
    """Unpickled, it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[list[str]]]:
        return subprocess.check_call, (["touch", str(self.marker)],)


def _pickled(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(((_Creates(marker),), {}), buffer)
    return buffer.getvalue()


def sample_inputs(marker: Path) -> Edit:
    return lambda name, data: _pickled(marker) if name == SAMPLES else data


def pickled_weight(marker: Path) -> Edit:
    def mark(config: Any, _: Path) -> None:
        config["config"]["scale"]["use_pickle"] = True

    marked = in_json(WEIGHTS, mark)(marker)
    return lambda name, data: _pickled(marker) if name == WEIGHT else marked(name, data)


def _weight_name(config: Any, marker: Path) -> None:
    config["config"][f"scale'+{python(marker)}+'"] = config["config"].pop("scale")


def _tensor_name(program: Any, _: Path) -> Any:
    return json.loads(json.dumps(program).replace("p_scale", "p'+code+'"))


def _operator(program: Any, _: Path) -> None:
    program["graph_module"]["graph"]["nodes"][-1]["target"] = "torch.os.system"


def _operand(program: Any, _: Path) -> None:
    """An operator as the argument of another."""
    add = program["graph_module"]["graph"]["nodes"][-1]
    add["inputs"][1]["arg"] = {"as_operator": "torch.os.system"}


def _mapped_file(program: Any, marker: Path) -> None:
    """aten.from_file creates the file that it maps; what operators write then goes there."""
    graph = program["graph_module"]["graph"]
    arguments = {"filename": {"as_string": str(marker)}}
    arguments |= {"shared": {"as_bool": True}, "size": {"as_int": 2}}
    mapped = {
        "target": "torch.ops.aten.from_file.default",
        "inputs": [{"name": n, "arg": a, "kind": 1} for n, a in arguments.items()],
        "outputs": [{"as_tensor": {"name": "mapped"}}],
        "metadata": {},
        "is_hop_single_tensor_return": None,
        "name": "mapped",
    }
    graph["nodes"].insert(0, mapped)
    sizes = {"sizes": [{"as_int": 2}], "strides": [{"as_int": 1}]}
    graph["tensor_values"]["mapped"] = {**graph["tensor_values"]["add"], **sizes}
    graph["nodes"][-1]["inputs"][1]["arg"] = {"as_tensor": {"name": "mapped"}}


def _size(program: Any, marker: Path) -> None:
    sizes = program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = python(marker)


def _size_of(name: str) -> Callable[[Any, Path], Any]:
    """The size of a tensor that is named like a field which nobody evaluates."""

    def change(program: Any, marker: Path) -> Any:
        _size(program, marker)
        return json.loads(json.dumps(program).replace('"x"', f'"{name}"'))

    return change


def _keyword(program: Any, marker: Path) -> None:
    """A keyword of forward, which torch writes into the Python that it generates."""
    keywords = json.dumps([f"x':{python(marker)},'y"])
    children = [
        {"type": "builtins.tuple", "context": "null", "children_spec": []},
        {"type": "builtins.dict", "context": keywords, "children_spec": [LEAF]},
    ]
    tree = {"type": "builtins.tuple", "context": "null", "children_spec": children}
    call = program["graph_module"]["module_call_graph"][0]["signature"]
    call["in_spec"] = json.dumps([1, tree])


def _guards(program: Any, marker: Path) -> None:
    program["guards_code"] = [python(marker)]


operator = in_json(PROGRAM, _operator)
operand = in_json(PROGRAM, _operand)
mapped_file = in_json(PROGRAM, _mapped_file)
size = in_json(PROGRAM, _size)
size_of_metadata = in_json(PROGRAM, _size_of("metadata"))
size_of_guards = in_json(PROGRAM, _size_of("guards_code"))
keyword = in_json(PROGRAM, _keyword)
tensor_name = in_json(PROGRAM, _tensor_name)
weight_name = in_json(WEIGHTS, _weight_name)
guards = in_json(PROGRAM, _guards)
