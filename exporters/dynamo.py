"""torch.export and torch's ONNX exporter built on it.

torch.export is called here and not by torch.onnx.export, which drops the guards that a program was
specialised under: a range narrower than the signature is refused, with the line it came from.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.export import Dim as ExportDim

from exporters.example import example
from exporters.rewrites import Family
from toolkit import model as flattening
from toolkit.domain import Choices
from toolkit.errors import ExportRefused
from toolkit.model import Flat, LoadedModel
from toolkit.signature import Dim, Signature

_NOT_THE_USERS = (
    *(str(Path(file).parent) for file in (torch.__file__, logging.__file__, __file__)),
    flattening.__file__,
    "<",
)


class Dynamo:
    """torch's own exporter, in its default mode."""

    name = "dynamo"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> None:
        write(model, path, opset=opset)


class Strict:
    """With the bytecode of the model read instead of run."""

    name = "dynamo-strict"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> None:
        write(model, path, opset=opset, strict=True)


def write(
    model: LoadedModel,
    path: Path,
    *,
    opset: int,
    strict: bool = False,
    families: Sequence[Family] = (),
) -> None:
    """Trace the model and write the program as ONNX. Raises ExportRefused with the reason."""
    with ExitStack() as stack:
        for family in families:
            stack.enter_context(family.tracing(model.module))
        program = _program(model, strict=strict)
        _write(_decomposed(program, families), model, path, opset, families)


def _decomposed(
    program: torch.export.ExportedProgram, families: Sequence[Family]
) -> torch.export.ExportedProgram:
    table = {op: how for family in families for op, how in family.decompositions.items()}
    met = {node.target for module in program.graph_module.modules() for node in _nodes(module)}
    table = {op: how for op, how in table.items() if op in met}
    try:
        return program.run_decompositions(table) if table else program
    except Exception as error:
        raise ExportRefused(_reason(error)) from error


def _nodes(module: Any) -> Iterable[torch.fx.Node]:
    return module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ()


def _write(
    program: torch.export.ExportedProgram,
    model: LoadedModel,
    path: Path,
    opset: int,
    families: Sequence[Family],
) -> None:
    translations = {op: how for family in families for op, how in family.translations.items()}
    try:
        result = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=opset,
            custom_translation_table=translations or None,
            input_names=[s.name for s in model.signature.inputs],
            output_names=[s.name for s in model.signature.outputs],
        )
        assert result is not None
        _set_apart(result.model.graph)
        result.save(str(path))
    except Exception as error:
        raise ExportRefused(_reason(error)) from error


def _set_apart(graph: Any) -> None:
    """Rename inner values that have the name of an output: torch 2.13 writes the name twice."""
    public = {value.name for value in (*graph.inputs, *graph.outputs)}
    outputs = {id(value) for value in graph.outputs}
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.name in public and id(value) not in outputs:
                value.name = f"{value.name}.inner"


def _program(model: LoadedModel, *, strict: bool) -> torch.export.ExportedProgram:
    flat, inputs = Flat(model.module, model.signature), example(model.signature)
    try:
        with torch.no_grad():
            shapes = _shapes(model.signature)
            program = torch.export.export(flat, inputs, dynamic_shapes=shapes, strict=strict)
    except Exception as error:
        if "Constraints violated" in str(error):
            for limit in _diagnosed(flat, inputs, model.signature):
                raise _refusal(limit) from error
        raise ExportRefused(_reason(error)) from error
    if limits := _limits(program, model.signature):
        raise _refusal(next(iter(_diagnosed(flat, inputs, model.signature)), limits[0]))
    return program


def _shapes(signature: Signature) -> tuple[tuple[dict[int, Any], ...]]:
    """torch's dynamic_shapes for `Flat.forward(*tensors)`; steps become derived dims (8*_n)."""
    dims = {d.name: _export_dim(d, number) for number, d in enumerate(signature.dims)}
    return (
        tuple(
            {
                i: dims[n]
                for i, n in enumerate(s.shape)
                if isinstance(n, str) and dims[n] is not None
            }
            for s in signature.inputs
        ),
    )


def _export_dim(dim: Dim, number: int) -> Any:
    if dim.low == dim.high:
        return None
    name = f"d{number}"  # torch takes identifiers only; the file gets the real names later
    if isinstance(dim.sizes, Choices) or dim.step == 1:
        return ExportDim(name, min=dim.low, max=dim.high)
    steps = ExportDim(name, min=max(dim.low // dim.step, 1), max=dim.high // dim.step)
    return dim.step * steps if dim.low % dim.step == 0 else ExportDim.AUTO


class Limit(NamedTuple):
    """A dimension that the program accepts in a narrower range than declared."""

    dim: Dim
    low: int
    high: int
    line: str = ""


def _diagnosed(flat: Flat, inputs: tuple[torch.Tensor, ...], signature: Signature) -> list[Limit]:
    """Export again with ranges that torch may narrow, and see which it narrowed, and where."""
    auto = tuple(
        {i: ExportDim.AUTO for i, n in enumerate(s.shape) if isinstance(n, str)}
        for s in signature.inputs
    )
    with _watching_guards() as watch, torch.no_grad():
        try:
            program = torch.export.export(flat, inputs, dynamic_shapes=(auto,))
        except Exception:  # the error that led here says what it can
            return []
    return [
        limit._replace(line=watch.line(limit, signature)) for limit in _limits(program, signature)
    ]


def _limits(program: torch.export.ExportedProgram, signature: Signature) -> list[Limit]:
    """The dimensions whose range in the program is narrower than in the signature."""
    ranges = {str(k): v for k, v in program.range_constraints.items()}
    wanted = set(program.graph_signature.user_inputs)
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    limits: dict[str, Limit] = {}
    for node, spec in zip(placeholders, signature.inputs, strict=True):
        for size, name in zip(node.meta["val"].shape, spec.shape, strict=True):
            if isinstance(name, int):
                continue
            dim = signature.dim(name)
            step, _, symbol = str(size).rpartition("*")  # torch narrows s0, not 8*s0
            times = int(step) if step.isdigit() else 1
            if str(size).isdigit():  # an int, or a SymInt that was specialised to one
                low = high = int(size)
            elif symbol in ranges and step in ("", str(times)):
                found = ranges[symbol]
                low, high = times * int(found.lower), times * int(min(found.upper, 2**62))
            else:  # an expression of another dimension: the parity check runs it
                continue
            # torch says 2 for the lower end where it has only set 0 and 1 apart: that is no limit.
            if low > max(dim.low, 2 * times) or high < dim.legal[-1]:
                limits.setdefault(name, Limit(dim, low, min(high, dim.high)))
    return list(limits.values())


class _Guards(logging.Handler):
    """Reads off torch's log the symbol of each axis, and the user's line behind each guard."""

    _SYMBOL = re.compile(r"create_symbol (\w+) = .* for L\['tensors'\]\[(\d+)\]\.size\(\)\[(\d+)\]")

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.symbols: dict[tuple[int, int], str] = {}
        self.guards: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if found := self._SYMBOL.match(message):
            self.symbols[int(found[2]), int(found[3])] = found[1]
        elif "[guard added]" in message:
            self.guards.append((message.partition("[guard added]")[0], _user_line()))

    def line(self, limit: Limit, signature: Signature) -> str:
        """The line of the first guard on any axis that the dimension names."""
        symbols = {
            self.symbols.get((i, axis), "?")
            for i, spec in enumerate(signature.inputs)
            for axis, name in enumerate(spec.shape)
            if name == limit.dim.name
        }
        named = (line for text, line in self.guards if symbols & set(re.findall(r"\w+", text)))
        return next(filter(None, named), "")


@contextmanager
def _watching_guards() -> Iterator[_Guards]:
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    watch = _Guards()
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    # Alone: torch's own handlers would bury the log under a line for each guard.
    logger.handlers, logger.propagate = [watch], False
    logger.setLevel(logging.INFO)
    try:
        yield watch
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def _user_line() -> str:
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_NOT_THE_USERS) and frame.line:
            return f"{Path(frame.filename).name} line {frame.lineno}: {frame.line}"
    return ""


def _refusal(limit: Limit) -> ExportRefused:
    only = f"{limit.low}" if limit.low == limit.high else f"{limit.low}..{limit.high}"
    return ExportRefused(
        f"'{limit.dim.name}' is declared {limit.dim.low}..{limit.dim.high}, "
        f"the traced program holds for {only}",
        limit.line,
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: torch wraps it in pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Constraints violated"):
        lines = lines[1:]
    text = lines[0] if lines else ""
    return f"{type(error).__name__}: {text[:300]}"
