"""Why a model could not be exported: the module, the user's own line, the operator, what to change.

torch wraps the cause in pages; here it becomes a sentence and a piece of advice. The whole
traceback is printed, so it is in the log.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import nn

from toolkit.errors import ExportRefused, OnnxportError
from toolkit.whose import is_models, package

_CONTROL = str(Path(__file__).with_name("rewrites") / "control")
_SEQUENCES = "compute with tensors, or loop over the sequence itself"
"""What to do where a sequence whose length is not known cannot do what a list can."""


class Cause(NamedTuple):
    """What torch writes (a pattern), what that means in a sentence, and what to change."""

    pattern: str
    meaning: str
    advice: str


_CAUSES = (
    Cause(
        r"No ONNX function found for <OpOverload\(op='(?P<op>[\w.:]+)'",
        "No ONNX function found for {op}",
        "write it with other operators of torch",
    ),
    Cause(
        r"(data-dependent expression (?P<what>[^(\n]*)|data-dependent control flow)",
        "a value decides what is computed: data-dependent expression {what}",
        "compute both sides and choose with torch.where, or branch with torch.cond",
    ),
    Cause(
        r"(Can't call numpy\(\)|\.numpy\(\) is not supported|Cannot access data pointer)",
        "the model leaves PyTorch: its values are read as numpy arrays",
        "use torch operators from the inputs to the outputs",
    ),
    Cause(
        r"(Exporting the operator '(?P<op>[\w:.]+)' to ONNX opset version \d+ is not supported)",
        "{whole}",
        "write it with other operators of torch",
    ),
    Cause(
        r"(Unsupported operator|not supported).*?(?P<op>aten[.:]+\w+)",
        "{whole}",
        "write it with other operators of torch",
    ),
)


def refused(error: BaseException, model: nn.Module) -> ExportRefused:
    """The refusal that says why, to be raised from the error: where that is one, a copy of it."""
    if isinstance(error, ExportRefused):
        return copy(error)
    if isinstance(error, OnnxportError):
        return ExportRefused(error.message, error.hint)
    inner = innermost(error)
    whole = f"{type(inner).__name__}: {_first_line(inner)}"
    meaning, advice = whole, ""
    for cause in _CAUSES:
        if found := re.search(cause.pattern, str(inner), re.DOTALL):
            known = {k: (v or "").strip() for k, v in found.groupdict().items()}
            meaning, advice = cause.meaning.format(whole=whole, **known), cause.advice
            break
    if isinstance(inner, (TypeError, IndexError)) and _is_raised_by_control(inner):
        meaning, advice = _first_line(inner), _SEQUENCES
    place = _node_place(error, model) or _traced_place(inner, model) or _traced_place(error, model)
    message = " ".join(f"{meaning}{', in ' + place if place else ''}".split())
    return ExportRefused(message, advice)


def innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_raised_by_control(error: BaseException) -> bool:
    *_, last = _traces(error)
    return last.tb_frame.f_code.co_filename.startswith(_CONTROL)


def _first_line(error: BaseException) -> str:
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Constraints violated"):
        lines = lines[1:]
    return (lines or [""])[0][:300]


def _node_place(error: BaseException | None, model: nn.Module) -> str:
    """`encoder.block (model.py line 12: y = f(x))` of the traced node that could not be written."""
    while error is not None:
        for trace in _traces(error):
            node = trace.tb_frame.f_locals.get("node")
            if isinstance(node, torch.fx.Node) and node.op == "call_function":
                paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
                lines = re.findall(r'File "([^"]+)", line (\d+), in .*\n\s*(.*)', _stack(node))
                packages = _packages(model)
                users = [n for n in lines if is_models(n[0]) and package(n[0]) in packages]
                where = _line(*users[-1]) if users else ""
                return _joined(_shown(paths[-1]) if paths else "", where)
        error = error.__cause__
    return ""


def _stack(node: torch.fx.Node) -> str:
    return node.meta.get("stack_trace") or ""


def _traced_place(error: BaseException, model: nn.Module) -> str:
    """The user's innermost frame of an error raised while his code was run."""
    names = {id(module): name for name, module in model.named_modules()}
    path, where, packages = "", "", _packages(model)
    for trace in _traces(error):
        frame = trace.tb_frame
        path = names.get(id(frame.f_locals.get("self")), "") or path
        file = frame.f_code.co_filename
        if is_models(file) and package(file) in packages:
            summary = traceback.extract_tb(trace, limit=1)[0]
            where = _line(summary.filename, summary.lineno, summary.line or "")
    return _joined(path, where)


def _packages(model: nn.Module) -> set[str]:
    """Those that modules of the model are of, and "", which has the user's own files."""
    return {"", *(type(module).__module__.partition(".")[0] for module in model.modules())}


def _traces(error: BaseException) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _line(file: str, number: Any, code: str) -> str:
    return f"{Path(file).name} line {number}: {code.strip()}"


def _shown(path: str) -> str:
    return re.sub(r"^model\.?", "", path.replace("L['self'].", ""))


def _joined(path: str, where: str) -> str:
    if path and where:
        return f"{path} ({where})"
    return path or where
