"""torch.jit.script, then the older exporter: branches and loops of the source stay in the graph.

For the models that `onnxport` refuses: TorchScript compiles the whole source, with break and
return anywhere. It knows only a part of Python, and is deprecated upstream.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporters import torchscript
from exporters.example import example
from exporters.refusal import refused
from toolkit.errors import ExportRefused, NotApplicable
from toolkit.model import LoadedModel, first_line

_CONTROL = {"prim::If", "prim::Loop"}


class Scripted:
    name = "script"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> None:
        scripted = compiled(model.module)
        if not has_control_flow(scripted):
            raise NotApplicable("the model has no branch and no loop", "a trace has all of it")
        torchscript.write(model, _traced(model, scripted), path, opset=opset)


def _traced(model: LoadedModel, scripted: torch.jit.ScriptModule) -> nn.Module:
    """The scripted model with tensors in and out: what is around it is traced."""
    flat = model.flat()
    flat.model = scripted
    inputs = example(model.signature, model.examples)
    try:
        with torch.no_grad():
            traced: nn.Module = torch.jit.trace(flat, inputs, check_trace=False)
    except Exception as error:
        raise refused(error, model.module) from error
    return traced


def compiled(module: nn.Module) -> torch.jit.ScriptModule:
    """The module's source in TorchScript. Raises ExportRefused in one line where it is not."""
    try:
        scripted: torch.jit.ScriptModule = torch.jit.script(module)
    except Exception as error:
        reason = first_line(error).rstrip(":. ")
        raise ExportRefused(
            f"torch.jit.script does not compile it: {reason}",
            "it takes a part of Python only: annotate arguments, return tensors in tuples",
        ) from error
    return scripted


def has_control_flow(scripted: torch.jit.ScriptModule) -> bool:
    """After what is constant in eval mode (`if self.training`) is gone?"""
    try:
        graph: Any = torch.jit.freeze(scripted.eval()).graph
    except Exception:  # freezing is particular about attributes: then the graph as it is
        graph = scripted.inlined_graph
    return any(node.kind() in _CONTROL for node in _nodes(graph))


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
