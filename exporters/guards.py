"""What torch.export assumed of sizes, held against the signature: limits, lines, boundaries.

torch narrows a range where the model decides by a size, and torch.onnx.export forgets that it did.
Here a narrowing is a fact with the user's line beside it, and every size at which the program
changes its mind is one that the parity check must try.
"""

from __future__ import annotations

import linecache
import logging
import re
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, product
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import sympy
import torch
from torch.utils import _pytree as pytree

from toolkit.errors import ExportRefused
from toolkit.signature import Dim, Signature
from toolkit.whose import is_models

Frames = Sequence[CodeType]

_MOST_EXPRESSIONS = 200
"""Boundaries are looked for in so many different conditions: a program has few."""


class Limit(NamedTuple):
    """A dimension that the program accepts in a narrower range than declared."""

    dim: Dim
    low: int
    high: int

    def __str__(self) -> str:
        only = f"{self.low}" if self.low == self.high else f"{self.low}..{self.high}"
        return (
            f"'{self.dim.name}' is declared {self.dim.low}..{self.dim.high}, "
            f"the traced program holds for {only}"
        )


class Narrowed(ExportRefused):
    """A program that holds for less than declared. `functions`: where it was narrowed."""

    functions: Sequence[Frames] = ()


def refusal(limits: list[Limit], watch: Watch, signature: Signature) -> Narrowed:
    """Says the first limit that has a line, and that line; carries the ends of all."""
    lines = [watch.line(limit, signature) for limit in limits]
    at = next((n for n, line in enumerate(lines) if line), 0)
    refused = Narrowed(str(limits[at]), lines[at])
    refused.functions = [f for limit in limits for f in watch.narrowing(limit, signature)]
    refused.limits = {limit.dim.name: [limit.low, limit.high] for limit in limits}
    return refused


def functions_of(refused: ExportRefused) -> Sequence[Frames]:
    """In which functions the program was narrowed, or tracing stopped (innermost first)."""
    if isinstance(refused, Narrowed):
        return refused.functions
    found: list[Frames] = []
    error: BaseException | None = refused
    while error is not None:
        frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
        found.append(frames[::-1])
        error = error.__cause__ if error.__cause__ is not error else None
    return found


def told(refused: ExportRefused) -> ExportRefused:
    """The refusal for the process that asked for the file: without code, which cannot be sent."""
    plain = ExportRefused(refused.message, refused.hint)
    plain.limits = refused.limits
    return plain


def limits(program: torch.export.ExportedProgram, signature: Signature) -> list[Limit]:
    """The dimensions whose range in the program is narrower than in the signature."""
    ranges = {str(k): v for k, v in program.range_constraints.items()}
    found: dict[str, Limit] = {}
    for name, size in _sizes(program, signature):
        dim = signature.dim(name)
        step, _, symbol = str(size).rpartition("*")  # torch narrows s0, not 8*s0
        times = int(step) if step.isdigit() else 1
        if str(size).isdigit():  # an int, or a SymInt that was specialised to one
            low = high = int(size)
        elif symbol in ranges and step in ("", str(times)):
            narrowed = ranges[symbol]
            low, high = times * int(narrowed.lower), times * int(min(narrowed.upper, 2**62))
        else:  # an expression of another dimension: the parity check runs it
            continue
        # torch says 2 for the lower end where it has only set 0 and 1 apart: that is no limit.
        if low > max(dim.low, 2 * times) or high < dim.legal[-1]:
            found.setdefault(name, Limit(dim, low, min(high, dim.high)))
    return list(found.values())


def broken(
    program: torch.export.ExportedProgram, signature: Signature, *, orders: bool = False
) -> list[str]:
    """What torch took for true of the example and is not, at or near the ends of what is declared.

    A range does not tell it: `ceil(width / 64) == 1`, for a feature map of one pixel. Nor do the
    ends alone: of 64 and 128 a thirty-second is even, and of 96 it is not (MobileViT). `orders`:
    of a program whose ranges torch was let narrow, also that one size is not less than another, at
    sizes between the ends too (SEW pads what is odd).
    """
    kinds = (sympy.Eq, sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge) if orders else sympy.Eq
    open_sizes = (s for _, s in _sizes(program, signature) if isinstance(s, torch.SymInt))
    environment = next((size.node.shape_env for size in open_sizes), None)
    if environment is None:
        return []
    symbols = _symbols(program, signature)
    guards = (guard.expr for guard in environment.guards[:_MOST_EXPRESSIONS])
    found = []
    for guard in guards:
        if isinstance(guard, kinds):  # what is not equal is no special case
            known = environment.replace(guard)
            sizes = _some_sizes(known, symbols, between=orders)
            if any(known.xreplace(at) == sympy.false for at in sizes):
                found.append(str(guard))
    return found


def _some_sizes(
    expression: sympy.Expr, symbols: Mapping[sympy.Symbol, tuple[Dim, int]], *, between: bool
) -> Iterator[dict[sympy.Symbol, sympy.Integer]]:
    """At most 64 combinations: of one size 16 at its ends, of two 8 each, of more the ends; then,
    of one size alone, some 40 `between`."""
    free = [s for s in symbols if s in expression.free_symbols]
    each = {1: 8, 2: 4}.get(len(free), 1)
    choices = []
    for dim, times in (symbols[s] for s in free):
        inner = dim.legal[:: max(len(dim.legal) // 40, 1)] if between and len(free) == 1 else ()
        near = dict.fromkeys((*dim.legal[:each], *dim.legal[-each:], *inner))
        choices.append([sympy.Integer(size // times) for size in near])
    for sizes in islice(product(*choices), 64):
        yield dict(zip(free, sizes, strict=True))


def boundaries(program: torch.export.ExportedProgram, signature: Signature) -> dict[str, list[int]]:
    """For each dimension the sizes on both sides of every condition that the program has on it.

    A condition is a comparison, or a Max or Min, of sizes of which one dimension decides.
    """
    symbols = _symbols(program, signature)
    found: dict[str, set[int]] = defaultdict(set)
    for difference in sorted(_conditions(program), key=str)[:_MOST_EXPRESSIONS]:
        free = difference.free_symbols
        symbol = next(iter(free)) if len(free) == 1 else None
        if symbol in symbols:
            dim, times = symbols[symbol]
            found[dim.name] |= set(_turns(difference, symbol, dim, times))
    return {name: sorted(sizes) for name, sizes in found.items() if sizes}


def _turns(difference: sympy.Expr, symbol: sympy.Symbol, dim: Dim, times: int) -> Iterator[int]:
    """The two legal sizes between which a monotone difference changes its sign."""

    def sign(at: int) -> int:
        value = difference.subs(symbol, dim.legal[at] // times)
        return int(sympy.sign(value)) if value.is_number and value.is_real else 0

    low, high = 0, len(dim.legal) - 1
    if high < 1:
        return
    for strict in (False, True):  # where it leaves the first sign, where it reaches the last
        first = sign(low) if not strict else sign(high)
        left, right = low, high
        if sign(low) == sign(high):
            return
        while right - left > 1:
            middle = (left + right) // 2
            same = (sign(middle) == first) != strict
            left, right = (middle, right) if same else (left, middle)
        yield from (int(dim.legal[left]), int(dim.legal[right]))


def _conditions(program: torch.export.ExportedProgram) -> set[sympy.Expr]:
    """The differences whose sign decides: a - b of every comparison, Max and Min."""
    from torch.utils._sympy.functions import Max, Min

    kinds = (sympy.Max, sympy.Min, Max, Min, sympy.core.relational.Relational)
    found: set[sympy.Expr] = set()
    seen: set[Any] = set()
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            for value in pytree.tree_leaves(node.meta.get("val")):
                sizes = value.shape if isinstance(value, torch.Tensor) else [value]
                for expression in map(_expression, sizes):
                    if expression is None or expression in seen:
                        continue
                    seen.add(expression)
                    for part in sympy.preorder_traversal(expression):
                        if isinstance(part, kinds) and len(part.args) == 2:
                            found.add(part.args[0] - part.args[1])
    return found


def _expression(size: Any) -> sympy.Expr | None:
    symbolic = isinstance(size, (torch.SymInt, torch.SymBool, torch.SymFloat))
    return size.node.expr if symbolic else None


def _symbols(
    program: torch.export.ExportedProgram, signature: Signature
) -> dict[sympy.Symbol, tuple[Dim, int]]:
    """Each of torch's symbols with its dimension, and how many times it the dimension is."""
    symbols: dict[sympy.Symbol, tuple[Dim, int]] = {}
    for name, size in _sizes(program, signature):
        expression = _expression(size)
        times, symbol = expression.as_coeff_Mul() if expression is not None else (1, None)
        if isinstance(symbol, sympy.Symbol):
            symbols[symbol] = signature.dim(name), int(times)
    return symbols


def _sizes(
    program: torch.export.ExportedProgram, signature: Signature
) -> Iterator[tuple[str, Any]]:
    """Each named dimension of the signature with what stands for it in the program."""
    wanted = set(program.graph_signature.user_inputs)
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    for node, spec in zip(placeholders, signature.inputs, strict=True):
        for size, name in zip(node.meta["val"].shape, spec.shape, strict=True):
            if isinstance(name, str):
                yield name, size


class Guard(NamedTuple):
    """What torch noted, and the code and the lines that were running, innermost first."""

    text: str
    stack: Sequence[tuple[CodeType, int]]

    @property
    def functions(self) -> Frames:
        return [code for code, _ in self.stack]

    @property
    def line(self) -> str:
        """The user's innermost; looked up when it is asked for, as most guards never are."""
        for code, number in self.stack:
            quoted = is_models(code.co_filename)
            text = linecache.getline(code.co_filename, number).strip() if quoted else ""
            if text:
                return f"{Path(code.co_filename).name} line {number}: {text}"
        return ""


class Watch(logging.Handler):
    """Reads off torch's log the symbol of each axis, and the user's line behind each guard."""

    _SYMBOL = re.compile(r"create_symbol (\w+) = .* for L\['tensors'\]\[(\d+)\]\.size\(\)\[(\d+)\]")

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.symbols: dict[tuple[int, int], str] = {}
        self.guards: list[Guard] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if found := self._SYMBOL.match(message):
            self.symbols[int(found[2]), int(found[3])] = found[1]
        elif "[guard added]" in message:
            stack = [(f.f_code, line) for f, line in traceback.walk_stack(sys._getframe())]
            self.guards.append(Guard(message.partition("[guard added]")[0], stack))

    def line(self, limit: Limit, signature: Signature) -> str:
        """The line of the first guard on any axis that the dimension names."""
        return next(filter(None, (guard.line for guard in self._on(limit, signature))), "")

    def narrowing(self, limit: Limit, signature: Signature) -> list[Frames]:
        """The functions in which a guard on the dimension was made."""
        return [guard.functions for guard in self._on(limit, signature)]

    def behind(self, doubts: Sequence[str]) -> list[Frames]:
        """The functions in which these guards were made."""
        return [g.functions for g in self.guards if any(doubt in g.text for doubt in doubts)]

    def _on(self, limit: Limit, signature: Signature) -> Iterator[Guard]:
        symbols = {
            self.symbols.get((i, axis), "?")
            for i, spec in enumerate(signature.inputs)
            for axis, name in enumerate(spec.shape)
            if name == limit.dim.name
        }
        for guard in self.guards:
            if symbols & set(re.findall(r"\w+", guard.text)):
                yield guard


@contextmanager
def watching() -> Iterator[Watch]:
    """See every guard that torch adds while the block runs."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    watch = Watch()
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    # Alone: torch's own handlers would bury the log under a line for each guard.
    logger.handlers, logger.propagate = [watch], False
    logger.setLevel(logging.INFO)
    try:
        yield watch
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
