"""Where a node comes from: its module, and the line of the user's own that made it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from toolkit.optimize.naming import listed, path
from toolkit.optimize.traces import CLASSES, TRACE
from toolkit.parity.landmarks import Step

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_LINES = re.compile(
    r'^\s*File "(?P<file>[^"\n]+)", line (?P<line>\d+)'  # as Python prints it
    r"|^(?P<scripted>[^\s(][^(\n]*)\((?P<at>\d+)\): ",  # as TorchScript does
    re.MULTILINE,
)
_WHOLE = frozenset({2, 3, 4, 5, 6, 7, 9, 12, 13})
"""uint8 to int64, bool, uint32 and uint64 (TensorProto.DataType in onnx.proto)."""

_OURS = "flatten(self.model("
"""In the line of `model.Flat` that calls the user's module: it is none of theirs."""

_TORCH = re.compile(r"(?:^|/)(?:torch|torch_onnx)/|^<")


def steps(graph: GraphProto) -> list[Step]:
    """The nodes of a main graph, in its order; one that holds graphs (If, Loop, Scan) is one step.

    What such a node captures from outside is among its inputs. A node without a name is called
    after its first output.
    """
    return [
        Step(
            node.name or next(filter(None, node.output), ""),
            node.op_type,
            (*filter(None, node.input), *_captured(node)),
            tuple(node.output),
            path(node),
            line(node),
        )
        for node in graph.node
    ]


def whole_numbers(model: ModelProto) -> set[str]:
    """The values of the main graph that hold whole numbers or booleans, as far as can be told."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    return {name for name, kind in kinds.items() if kind in _WHOLE}


def _captured(node: NodeProto) -> list[str]:
    inner = [a.g for a in node.attribute if a.HasField("g")]
    inner += [g for a in node.attribute for g in a.graphs]
    read: list[str] = []
    for graph in inner:
        made = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        made |= {name for n in graph.node for name in n.output}
        wanted = [name for n in graph.node for name in (*n.input, *_captured(n))]
        read += [name for name in (*wanted, *(v.name for v in graph.output)) if name not in made]
    return [name for name in dict.fromkeys(read) if name]


def line(node: NodeProto) -> str:
    """`net.py:42` where the file keeps its trace: the innermost line that is not PyTorch's own."""
    notes = {entry.key: entry.value for entry in node.metadata_props}
    trace = notes.get(TRACE) or node.doc_string
    found = [
        (m["file"] or m["scripted"], m["line"] or m["at"])
        for m in _LINES.finditer(trace or "")
        if _OURS not in trace[m.end() : m.end() + 100].partition("File ")[0]
    ]
    if trace and not notes.get(TRACE):  # TorchScript has the innermost first
        found.reverse()
    # Traces are kept without folders: PyTorch's files are known by the classes of its modules.
    classes = listed(notes.get(CLASSES, ""))
    theirs = {f"{c.split('.')[-2]}.py" for c in classes if c.startswith("torch.")} | _BARE
    for file, number in reversed(found):
        if _TORCH.search(file) or (file == PurePath(file).name and file in theirs):
            continue
        return f"{file}:{number}"
    return ""


_BARE = frozenset(
    {"functional.py", "module.py", "container.py", "runtime_assert.py", "_export_utils.py"}
)
"""Files of PyTorch's that call operators and have no class in the hierarchy."""
