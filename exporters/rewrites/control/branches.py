"""Two ways, one of them taken: Python's `if` where it is known which, ONNX's If where not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from inspect import unwrap
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import SymBool, SymFloat, SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils import _pytree as pytree

from exporters.answers import assuming
from exporters.rewrites.control.agreeing import covers, expression, formula, plainest, recorded
from exporters.rewrites.control.capture import Explored, Operands, explore
from exporters.rewrites.control.effects import held_by, restored
from exporters.rewrites.control.irreconcilable import Irreconcilable
from exporters.rewrites.control.recorder import Both, Given, Recorder, apart, both_ways
from exporters.rewrites.control.sizes import (
    Open,
    as_tensor,
    compared,
    condition,
    decided,
    is_open,
    limits_a_size,
)
from exporters.rewrites.control.variables import Variables
from toolkit.errors import ExportRefused

Way = Callable[[], Any]
_RESULT = "the result"


def branch(
    test: Any, true: Way, false: Way, names: Sequence[str], read_later: Sequence[str]
) -> None:
    """A statement whose ways assign `names`, some of which are `read_later`."""
    which = condition(test)
    if isinstance(which, Open):
        _subgraph(which, (true, false), names, read_later)
    else:
        (true if which else false)()


def choose(
    test: Any, true: Way, false: Way, names: Sequence[str], lists: Sequence[Any] = ()
) -> Any:
    """What one of two ways returns; nobody reads the variables after it, nor the `lists`."""
    which = condition(test)
    if isinstance(which, Open):
        ways = (_restoring(true, lists), _restoring(false, lists)) if lists else (true, false)
        return _subgraph(which, ways, names)
    return (true if which else false)()


def _restoring(way: Way, lists: Sequence[Any]) -> Way:
    def run() -> Any:
        with restored(lists):
            return way()

    vars(run)["__wrapped__"] = way
    return run


def both(left: Way, right: Way) -> Any:
    """`left and right`, of which the right is looked at only where the left holds."""
    which = condition(left())
    if isinstance(which, bool):
        return condition(right()) if which else False
    if together := _together(which, right, operator.and_):
        return together
    return _subgraph(which, (lambda: decided(right()), lambda: decided(False)), ())


def _together(which: Open, right: Way, join: Callable[[Any, Any], Any]) -> Open | None:
    """Both sides as one test, where they ask for sizes alone: looked at, these do no harm."""
    if not isinstance(which.assumed, SymBool):
        return None
    try:
        other = explore(lambda: condition(right())).result
    except Exception:  # which it may, where it is not to be looked at
        return None
    if not isinstance(other, Open) or not isinstance(other.assumed, SymBool):
        return None
    other = condition(right())
    assert isinstance(other, Open)
    return Open(join(which.tensor, other.tensor), join(which.assumed, other.assumed))


def chained(symbols: Sequence[str], left: Any, *terms: Callable[[], Any]) -> Any:
    """`left < term < term`: each looked at once, the last only where it matters."""
    right = terms[0]()
    first = compared(symbols[0], left, right)
    if len(terms) == 1:
        return first
    return both(lambda: first, lambda: chained(symbols[1:], right, *terms[1:]))


def either(left: Way, right: Way) -> Any:
    which = condition(left())
    if isinstance(which, bool):
        return True if which else condition(right())
    if together := _together(which, right, operator.or_):
        return together
    return _subgraph(which, (lambda: decided(True), lambda: decided(right())), ())


def contained(item: Any, within: Any) -> Any:
    """`item in within`, of numbers of which some may be unknown."""
    if not any(map(is_open, (item, *within))):
        return item in within
    tests = [partial(compared, "==", item, one) for one in within]
    return reduce(lambda left, right: partial(either, left, right), tests, lambda: False)()


def negated(test: Any) -> Any:
    which = condition(test)
    if isinstance(which, bool):
        return not which
    assumed = which.assumed
    inverse = torch.sym_not(assumed) if isinstance(assumed, SymBool) else assumed
    return Open(~which.tensor, not inverse if isinstance(inverse, bool) else inverse)


def alarm(test: Any) -> bool:
    """A test that raises where it holds: for values it never does, in what a model accepts."""
    which = condition(test)
    return which if isinstance(which, bool) else _of_sizes(which, False)


def asserted(test: Any) -> bool:
    which = condition(test)
    return which if isinstance(which, bool) else _of_sizes(which, True)


def _of_sizes(test: Open, of_values: bool) -> bool:
    """What torch makes of a test of sizes; `of_values` where values decide it."""
    if test.assumed is None or free_unbacked_symbols(test.assumed):
        return of_values
    return bool(test.assumed)


class _Leaf(NamedTuple):
    """One value after the branch: as it is, or whichever of two comes out."""

    value: Any
    kind: str = ""
    """Of what comes out: tensor, int or float; nothing where the value stays."""
    shapes: tuple[Any, Any] | None = None
    """Of two tensors."""


def _subgraph(
    test: Open,
    ways: tuple[Way, Way],
    names: Sequence[str],
    read_later: Sequence[str] | None = None,
) -> Any:
    """What the ways return, or None and the variables as they are after either."""
    variables = Variables(ways, names)
    before = variables.read()
    try:
        return _merged(test, ways, variables, read_later)
    except Irreconcilable as error:
        variables.write(before)
        if limits_a_size(test.assumed):
            return ways[0 if bool(test.assumed) else 1]()  # torch says for which sizes it holds
        code = unwrap(ways[0]).__code__
        raise ExportRefused(
            f"the branch at {Path(code.co_filename).name} line {code.co_firstlineno} "
            f"cannot be an If of ONNX: {error}",
            "let both ways give tensors of one shape and dtype, and change nothing else",
        ) from error


def _merged(
    test: Open, ways: tuple[Way, Way], variables: Variables, read_later: Sequence[str] | None
) -> Any:
    before, returns = variables.read(), read_later is None
    recorders = [r for r in variables.in_reach().values() if isinstance(r, Recorder)]
    tried = []
    for way, outcome in zip(ways, (True, False), strict=True):
        with assuming(test.assumed, outcome):
            tried.append(_tried(way, variables, before, recorders))
    found, ends, given = zip(*tried, strict=True)
    lists = [both_ways(*of_one) for of_one in zip(recorders, *given, strict=True)]
    if read_later is None:
        ends = tuple({_RESULT: f.result} for f in found)
    else:
        ends = tuple({n: v for n, v in end.items() if n in read_later} for end in ends)
    one, other = _with_masks(ends[0], ends[1], variables.in_reach())
    plan = {name: _plan(name, one[name], other[name], test) for name in one if name in other}
    gives = [both for both in lists if both]
    if gives and returns:
        raise Irreconcilable("it changes a list")
    if (
        gives
        or any(leaf.kind for leaves, _ in plan.values() for leaf in leaves)
        or any(f.written for f in found)
    ):
        values = _cond(test, ways, variables, plan, found, gives, returns=returns)
        values = {name: _sized(value, plan[name][0], test) for name, value in values.items()}
    else:
        values = {n: pytree.tree_unflatten([x.value for x in ls], s) for n, (ls, s) in plan.items()}
    if returns:
        variables.write(before)
        return values[_RESULT]
    variables.write(values)
    return None


def _with_masks(
    one: dict[str, Any], other: dict[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`if not mask.any(): mask = None`: where nothing is masked the mask says the same, and stays.

    That None is not told from it later is not proven here: the check of the file sees both.
    """
    masks = {id(v) for v in known.values() if isinstance(v, Tensor) and v.dtype == torch.bool}
    kept = dict(one), dict(other)
    for name in one.keys() & other.keys():
        for mine, theirs in (kept, kept[::-1]):
            if mine[name] is None and id(theirs[name]) in masks:
                mine[name] = theirs[name]
    return kept


def _tried(
    way: Way, variables: Variables, before: dict[str, Any], recorders: Sequence[Recorder]
) -> tuple[Explored, dict[str, Any], list[Given | None]]:
    """One way on shapes alone: what it used, the variables after it, and what it gives lists."""
    held = held_by([v for v in variables.in_reach().values() if not isinstance(v, Recorder)])
    try:
        with apart(recorders):
            found = explore(lambda: _and_variables(way, variables, recorders))
    except ExportRefused:
        raise
    except Exception as error:
        held.put_back()
        raise Irreconcilable(f"{type(error).__name__}: {error}") from error
    finally:
        after = variables.read()
        variables.write(before)
    if held.put_back():
        raise Irreconcilable("it changes a list, a dict or an attribute")
    result, _, given = found.result
    return found._replace(result=result), after, given


def _and_variables(
    way: Way, variables: Variables, recorders: Sequence[Recorder]
) -> tuple[Any, dict[str, Any], list[Given | None]]:
    result = way()
    return result, variables.read(), [r.way() for r in recorders]


def _sized(value: Any, leaves: Sequence[_Leaf], test: Open) -> Any:
    """What came out of either way, with the shape that is right for both, if one of theirs is."""
    found, spec = pytree.tree_flatten(value)
    pairs = zip(found, leaves, strict=True)
    return pytree.tree_unflatten([_of_shape(one, leaf.shapes, test) for one, leaf in pairs], spec)


def _of_shape(one: Any, shapes: tuple[Any, Any] | None, test: Open) -> Any:
    pairs = [*zip(*shapes, strict=True)] if shapes else []
    unlike = [(a, b) for a, b in pairs if expression(a) != expression(b)]
    for shape, outcome in zip(shapes or (), (True, False), strict=False):
        if unlike and covers(test.assumed, not outcome, unlike):
            # They were seen while a way was tried, where nothing is recorded.
            sizes = [recorded(plainest(n)) for n in shape]
            if None not in sizes:
                return torch.onnx.ops.symbolic(
                    "Identity", [one], dtype=one.dtype, shape=sizes, version=16
                )
    return one


def _plan(name: str, one: Any, other: Any, test: Open) -> tuple[list[_Leaf], pytree.TreeSpec]:
    leaves, spec = pytree.tree_flatten(one)
    others, other_spec = pytree.tree_flatten(other)
    if spec != other_spec:
        raise Irreconcilable(f"{name} is {said(one)} or {said(other)}")
    return [_leaf(name, a, b, test) for a, b in zip(leaves, others, strict=True)], spec


def _leaf(name: str, one: Any, other: Any, test: Open) -> _Leaf:
    if one is other:
        return _Leaf(one)
    tensors = [x for x in (one, other) if isinstance(x, Tensor)]
    if len(tensors) == 2 or (tensors and tensors[0].dim() == 0 and _number(one) | _number(other)):
        if len(tensors) == 2 and (one.dtype, one.dim()) != (other.dtype, other.dim()):
            raise Irreconcilable(f"{name} is {said(one)} or {said(other)}")
        shapes = (one.shape, other.shape) if len(tensors) == 2 else None
        return _Leaf(tensors[0], "tensor", shapes)
    for kind, types in _NUMBERS.items():
        if all(isinstance(x, types) for x in (one, other)):
            same = (
                not (is_open(one) or is_open(other)) and type(one) is type(other) and one == other
            )
            if (
                not same
                and kind == "int"
                and (known := formula(test.assumed, one, other)) is not None
            ):
                return _Leaf(known)
            return _Leaf(one) if same else _Leaf(one, kind)
    if type(one) is type(other) and not tensors and _equal(one, other):
        return _Leaf(one)
    raise Irreconcilable(f"{name} is {said(one)} or {said(other)}")


_NUMBERS: dict[str, tuple[type, ...]] = {
    "bool": (bool, SymBool),
    "int": (int, SymInt),
    "float": (float, SymFloat),
}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, SymInt, SymFloat))


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return False


def said(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return f"{value!r}"[:40]


def _cond(
    test: Open,
    ways: tuple[Way, Way],
    variables: Variables,
    plan: dict[str, tuple[list[_Leaf], pytree.TreeSpec]],
    found: Sequence[Explored],
    gives: Sequence[Both],
    *,
    returns: bool,
) -> dict[str, Any]:
    before = variables.read()
    outer = list({id(t): t for f in found for t in f.outer}.values())
    written = list({id(t): t for f in found for t in f.written}.values())
    refuse_shared(written, outer)
    operands = Operands(outer, variables.in_reach())

    def subgraph(way: Way, outcome: bool) -> Callable[..., tuple[Tensor, ...]]:
        def run(*inner: Any) -> tuple[Tensor, ...]:
            recorders = [g.to for g in gives]
            with (
                assuming(test.assumed, outcome),
                operands.inside(inner, variables) as inside,
                apart(recorders),
            ):
                copies = inside.copied(written)
                result = way()
                values = {_RESULT: result} if returns else variables.read()
                variables.write(before)
                given = [out for g in gives for out in g.of(g.to.way())]
                made = []
                for name, (leaves, _) in plan.items():
                    for leaf, value in zip(leaves, pytree.tree_leaves(values[name]), strict=True):
                        if leaf.kind:
                            made.append(_out(inside.now(value), leaf))
                return (*made, *copies, *given)

        return run

    true, false = map(subgraph, ways, (True, False))
    try:
        outputs = list(torch.ops.higher_order.cond(test.tensor, true, false, operands.all))
    except Exception as error:
        raise Irreconcilable(f"{type(error).__name__}: {error}") from error
    values = {}
    for name, (leaves, spec) in plan.items():
        made = [_back(outputs.pop(0), x.kind) if x.kind else x.value for x in leaves]
        values[name] = pytree.tree_unflatten(made, spec)
    for tensor in written:
        tensor.copy_(outputs.pop(0))
    for give in gives:
        rows = outputs.pop(0)
        give.to.take(rows, None if give.always else outputs.pop(0))
    return values


def refuse_shared(written: Sequence[Tensor], outer: Sequence[Tensor]) -> None:
    """What is written into may have no second name inside: only one of them would change."""
    for tensor in written:
        memory = tensor.untyped_storage()._cdata
        if any(t is not tensor and t.untyped_storage()._cdata == memory for t in outer):
            raise Irreconcilable("it writes into a tensor and uses a view of it")


def _out(value: Any, leaf: _Leaf) -> Tensor:
    """A tensor of its own: subgraphs may not return what they were given."""
    if isinstance(value, Tensor):
        return value.clone(memory_format=torch.contiguous_format)
    if leaf.kind == "tensor":
        return torch.scalar_tensor(value, dtype=leaf.value.dtype)
    return torch.tensor(value) if leaf.kind == "bool" else as_tensor(value).clone()


def _back(value: Tensor, kind: str) -> Any:
    return value.item() if kind in ("int", "float") else value
