"""torch.export and torch's ONNX exporter built on it.

torch.export is called here and not by torch.onnx.export, which drops the guards that a program was
specialised under: a range narrower than the signature is refused, with the line it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch.export import Dim as ExportDim
from torch.fx.experimental import _config
from torch.onnx._internal.exporter import _decomp

from exporters import guards, writing
from exporters.answers import answering
from exporters.declared import declaring
from exporters.example import example, from_above
from exporters.quicker import quicker, tracing
from exporters.refusal import innermost, refused
from exporters.rewrites import Family
from toolkit.domain import Choices
from toolkit.errors import ExportRefused
from toolkit.model import Flat, LoadedModel
from toolkit.plugins import Traced
from toolkit.signature import Dim, Signature

_OBLIVIOUS = "backed_size_oblivious"
"""torch's setting under which no size is 1 that it does not know to be."""


class Dynamo:
    """torch's own exporter, in its default mode."""

    name = "dynamo"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset)


class Strict:
    """With the bytecode of the model read instead of run."""

    name = "dynamo-strict"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced:
        return write(model, path, opset=opset, strict=True)


def write(
    model: LoadedModel,
    path: Path,
    *,
    opset: int,
    strict: bool = False,
    families: Sequence[Family] = (),
    passes: Sequence[writing.Pass] = (),
) -> Traced:
    """Trace the model and write the program as ONNX. Raises ExportRefused with the reason."""
    with ExitStack() as stack:
        stack.enter_context(declaring(model.signature))
        stack.enter_context(quicker())
        if families:
            stack.enter_context(answering())
        for family in families:
            stack.enter_context(family.tracing(model.module))
        found = _program(model, strict, families)
        stack.enter_context(mock.patch.object(_config, _OBLIVIOUS, found.oblivious))
        program = found.program
        for family in families:
            program = family.finishing(program)
        stack.enter_context(_decomposing(families))
        _write(program, model, path, opset, families, passes)
    return Traced(guards.boundaries(found.program, model.signature))


@contextmanager
def _decomposing(families: Sequence[Family]) -> Iterator[None]:
    """Add the decompositions of the families to those that torch's exporter runs by itself.

    In its one pass, so that they also apply to what other decompositions consist of.
    """
    own = {op: how for family in families for op, how in family.decompositions.items()}
    name = "create_onnx_friendly_decomposition_table"
    original = getattr(_decomp, name)
    with mock.patch.object(_decomp, name, lambda ops: original(ops) | own):
        yield


def _write(
    program: torch.export.ExportedProgram,
    model: LoadedModel,
    path: Path,
    opset: int,
    families: Sequence[Family],
    passes: Sequence[writing.Pass],
) -> None:
    translations = {op: how for family in families for op, how in family.translations.items()}
    program._guards_code = []  # judged by now; traced once more, they would fix what they ask about

    def translated() -> Any:
        with torch.no_grad():  # with gradients, a branch between two sizes is traced once too often
            return torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                custom_translation_table=translations or None,
                optimize=False,  # `writing` does, after it has seen which weights are one
            )

    try:
        try:
            result = translated()
        except Exception as error:
            if not isinstance(innermost(error), AssertionError):
                raise
            # Of some sizes torch cannot write the assertions, of which ONNX has none (DEIMv2).
            with torch._dynamo.config.patch(do_not_emit_runtime_asserts=True):
                result = translated()
        writing.write(result, path, model.signature, passes)
    except Exception as error:
        raise refused(error, model.module) from error


class _Found(NamedTuple):
    program: torch.export.ExportedProgram
    oblivious: bool = False
    """It was traced `_OBLIVIOUS`."""
    doubts: Sequence[str] = ()
    """What torch took for true of sizes, and may not be."""
    behind: Sequence[guards.Frames] = ()
    """The functions in which it did."""


def _program(model: LoadedModel, strict: bool, families: Sequence[Family]) -> _Found:
    """The program, traced again while a family treats a function that stopped it otherwise.

    Raises ExportRefused where it holds for less than the signature declares.
    """
    doubtful: _Found | None = None
    while True:
        try:
            found = _traced(model, strict=strict, once=not families)
        except ExportRefused as error:
            if _relent(families, guards.functions_of(error)):
                continue
            if doubtful is None:
                raise guards.told(error) from error.__cause__
            return doubtful
        if not found.doubts:
            return found
        doubtful = doubtful or found
        if not _relent(families, found.behind):
            return doubtful


def _relent(families: Sequence[Family], stopped: Sequence[guards.Frames]) -> bool:
    relented = [family.relents(codes) for family in families for codes in stopped]
    return any(relented)


def _traced(model: LoadedModel, *, strict: bool, once: bool) -> _Found:
    """`once`: from one example, as torch does it. Raises ExportRefused as `_program` does."""
    flat, inputs = model.flat(), example(model.signature, model.examples)
    if not once:
        flat.register_forward_pre_hook(partial(_named_alike, model.signature))
    program, violated = None, None
    try:
        with guards.watching() as seen:
            program = _exported(flat, inputs, _shapes(model.signature), strict)
    except Exception as error:
        if "Constraints violated" not in str(error):
            raise refused(error, model.module) from error
        violated = error
    second: _Found | None = None
    if program is not None and not guards.limits(program, model.signature):
        second = _held_against(model.signature, program, seen)
        if not second.doubts:
            return second
    for oblivious, others in () if once else _others(model.signature, inputs):
        other = _unlimited(flat, others, model.signature, strict, oblivious)
        if other is not None:
            found = _held_against(model.signature, other, seen, oblivious=oblivious)
            if not found.doubts:
                return found
            second = second or found
    if second:  # what was taken for true may not matter: the check will tell
        return second
    # Again with ranges that torch may narrow: it says which and where, or it narrows none.
    auto = tuple(
        {i: ExportDim.AUTO for i, n in enumerate(s.shape) if isinstance(n, str)}
        for s in model.signature.inputs
    )
    try:
        with guards.watching() as watch:
            free = _exported(flat, inputs, (auto,), strict)
    except Exception as error:  # what led here says what it can
        if program is not None:
            limits = guards.limits(program, model.signature)
            raise guards.refusal(limits, watch, model.signature) from error
        assert violated is not None
        raise refused(violated, model.module) from violated
    if limits := guards.limits(free, model.signature):
        raise guards.refusal(limits, watch, model.signature)
    return _held_against(model.signature, free, watch, orders=True)


def _named_alike(signature: Signature, _: Any, tensors: tuple[torch.Tensor, ...]) -> None:
    """Dimensions of one name are one size from the start: torch finds out when it compares them,
    which a loop or a branch, tried out by itself, does not."""
    first: dict[str, Any] = {}
    for spec, tensor in zip(signature.inputs, tensors, strict=True):
        for name, size in zip(spec.shape, tensor.shape, strict=True):
            if isinstance(name, str):
                bool(first.setdefault(name, size) == size)


def _held_against(
    signature: Signature,
    program: torch.export.ExportedProgram,
    watch: guards.Watch,
    *,
    oblivious: bool = False,
    orders: bool = False,
) -> _Found:
    doubts = guards.broken(program, signature, orders=orders)
    return _Found(program, oblivious, doubts, watch.behind(doubts))


def _others(
    signature: Signature, inputs: tuple[torch.Tensor, ...]
) -> Iterator[tuple[bool, tuple[torch.Tensor, ...] | None]]:
    """Whether to trace `_OBLIVIOUS`, and of which example. One at a time: they are large."""
    yield True, inputs
    yield True, from_above(signature, apart=False)
    yield False, from_above(signature, apart=True)


def _unlimited(
    flat: Flat,
    inputs: tuple[torch.Tensor, ...] | None,
    signature: Signature,
    strict: bool,
    oblivious: bool,
) -> torch.export.ExportedProgram | None:
    """The program of another example, if it holds for all that is declared.

    A size that is 1 in the example (a feature map of one pixel, after all reductions; one window)
    is 1 to torch, unless that is `_OBLIVIOUS`: then what it cannot know is not 1 in any example.
    """
    if inputs is not None:
        with suppress(Exception), mock.patch.object(_config, _OBLIVIOUS, oblivious):
            program = _exported(flat, inputs, _shapes(signature), strict)
            if not guards.limits(program, signature):
                return program
    return None


def _exported(
    flat: Flat, inputs: tuple[torch.Tensor, ...], shapes: Any, strict: bool
) -> torch.export.ExportedProgram:
    with torch.no_grad(), tracing():
        return torch.export.export(flat, inputs, dynamic_shapes=shapes, strict=strict)


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
