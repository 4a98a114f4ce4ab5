"""A closure as a function of all that it uses: what subgraphs of torch's operators must be.

`explore` runs it once on shapes alone and sees which tensors come from outside; `Inside` runs it
with other tensors in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import SymFloat, SymInt, Tensor
from torch._export.non_strict_utils import _NonStrictTorchFunctionHandler
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing
from torch.fx.experimental.symbolic_shapes import (
    ShapeEnv,
    free_symbols,
    statically_known_true,
)
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode, _pop_mode_temporarily
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes

from exporters.rewrites import blocks
from exporters.rewrites.control.sizes import as_tensor, in_rows, is_traced
from exporters.rewrites.control.variables import Variables

_MOST_CONSTANTS = 64
_NOT_CONSTANT = (Tensor, SymInt, SymFloat, torch.SymBool)


_MATMUL = (torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__)
"""Inside a subgraph torch takes it apart, and asks how what it multiplies lies in memory."""


class Explored(NamedTuple):
    """What a run returned, the tensors from outside that it used, and those that it wrote into."""

    result: Any
    outer: list[Tensor]
    written: list[Tensor]


class _Indexing(TorchFunctionMode):
    """What torch does not trace inside a subgraph: indices that are sizes, and constants."""

    def __init__(self) -> None:
        super().__init__()
        self._handler = _NonStrictTorchFunctionHandler()

    def run(self, function: Any, arguments: Any, keywords: Any) -> Any:
        if function is Tensor.item:  # in a step within a step torch takes it apart otherwise
            return torch.ops.aten._local_scalar_dense(arguments[0])
        if function is Tensor.__setitem__:
            target, index, value = arguments
            if blocks.fill(target, index, value):
                return None
            if _has_size(index):
                return self._assign(*arguments)
            if isinstance(value, (bool, int, float)):
                arguments = (target, index, torch.full((), value, dtype=target.dtype))
        elif function is Tensor.__getitem__:
            tensor, index = arguments
            arguments = _picked(tensor, pytree.tree_map(self._bounded, index))
        elif function in _MATMUL:
            arguments = tuple(_laid_out(a) for a in arguments)
        elif function in (torch.tensor, torch.as_tensor) and _is_small(arguments, keywords):
            return _spelled_out(lambda: function(*arguments, **keywords))
        function, arguments, keywords = self._handler._override(function, arguments, keywords)
        return function(*arguments, **keywords)

    def _bounded(self, part: Any) -> Any:
        """A part of an index; of a slice the bounds as numbers."""
        if not isinstance(part, slice):
            return part
        ends = (part.start, part.stop, part.step)
        return slice(
            *(self.run(Tensor.item, (e,), {}) if isinstance(e, Tensor) else e for e in ends)
        )

    def _assign(self, target: Tensor, index: Any, value: Any) -> None:
        view = self.run(Tensor.__getitem__, (target, index), {})
        if not isinstance(value, Tensor):
            view.fill_(value)
            return
        while value.dim() > view.dim():
            value = value.squeeze(0)
        view.copy_(value)


class _Watch(_Indexing):
    def __init__(self, own: Sequence[Tensor]) -> None:
        super().__init__()
        self._own = {id(t): t for t in own}
        self.outer: dict[int, tuple[Tensor, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in pytree.tree_leaves((args, kwargs)):
            self.see(leaf)
        result = self.run(func, args, kwargs or {})
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor) and id(leaf) not in self.outer:
                self._own[id(leaf)] = leaf
        return result

    def see(self, leaf: Any) -> None:
        if isinstance(leaf, Tensor) and id(leaf) not in self._own:
            self.outer.setdefault(id(leaf), (leaf, leaf._version))

    def has_seen(self, nested: _Watch) -> None:
        """What a run within this one used and made."""
        for tensor, _ in nested.outer.values():
            self.see(tensor)
        self._own |= nested._own


def _laid_out(x: Any) -> Any:
    """A copy that lies in memory row by row, of what may not: every other row of a tensor."""
    if not isinstance(x, Tensor):
        return x
    strides = zip(x.stride(), in_rows(x.shape), strict=True)
    known = all(statically_known_true(a == b) for a, b in strides)
    return x if known else x.clone(memory_format=torch.contiguous_format)


def _picked(tensor: Tensor, index: Any) -> tuple[Tensor, Any]:
    """With what a number in a tensor picks already picked: `x[order[step]]`.

    torch asks for the number, of which there is none in a subgraph.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    tensors = [at for at, part in enumerate(parts) if isinstance(part, Tensor)]
    before = parts[: tensors[0]] if len(tensors) == 1 else []
    if len(tensors) != 1 or not all(isinstance(p, (int, SymInt, slice)) for p in before):
        return tensor, index
    (axis,) = tensors
    place = parts[axis]
    if place.dim() or place.dtype in (torch.bool, torch.uint8) or place.is_floating_point():
        return tensor, index
    parts[axis] = 0
    return tensor.index_select(axis, place.to(torch.int64).reshape(1)), tuple(parts)


def _is_small(arguments: Any, keywords: Any) -> bool:
    leaves = pytree.tree_leaves((arguments, keywords.get("data")))
    return len(leaves) < _MOST_CONSTANTS and not any(
        isinstance(leaf, (Tensor, SymInt, SymFloat, torch.SymBool)) or hasattr(leaf, "__array__")
        for leaf in leaves
    )


def _spelled_out(made: Callable[[], Tensor]) -> Tensor:
    """A constant as operators make it: torch loses those that are data of a subgraph."""
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        constant = made()
        values = constant.flatten().tolist()
    ones = [torch.full((), value, dtype=constant.dtype) for value in values]
    return torch.stack(ones).reshape(constant.shape) if constant.dim() else ones[0]


def _has_size(index: Any) -> bool:
    """A plain index (numbers, slices, None, ...) in which a size stands."""
    items = index if isinstance(index, tuple) else (index,)
    numbers = [
        n for i in items for n in ((i.start, i.stop, i.step) if isinstance(i, slice) else (i,))
    ]
    plain = all(n is None or n is Ellipsis or isinstance(n, (int, SymInt)) for n in numbers)
    return plain and any(isinstance(n, SymInt) for n in numbers)


_watches: list[_Watch] = []


def explore(
    run: Callable[[], Any], own: Sequence[Tensor] = (), *, guarding: bool = True
) -> Explored:
    """Run on shapes alone, recording no operator.

    `own`: tensors that count as made inside. `guarding`: torch may note what it takes for true of
    the sizes (that two are equal); not so in a step of a loop that stands for others.
    """
    watch = _Watch(own)
    with _unrecorded(guarding), watch:
        _watches.append(watch)
        try:
            result = run()
        finally:
            _watches.pop()
    for leaf in pytree.tree_leaves(result):
        watch.see(leaf)
    outer = [tensor for tensor, _ in watch.outer.values()]
    written = [tensor for tensor, version in watch.outer.values() if tensor._version != version]
    if _watches:
        _watches[-1].has_seen(watch)
    return Explored(result, outer, written)


def is_tried() -> bool:
    """Within `explore` without guards: of what is fresh there, nothing is known."""
    return bool(ShapeEnv._suppress_guards_tls())


@contextmanager
def _unrecorded(guarding: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(disable_proxy_modes_tracing())
        stack.enter_context(shape_env().ignore_fresh_unbacked_symbols())
        if not guarding:
            stack.enter_context(shape_env().suppress_guards())
            stack.enter_context(_believing(shape_env()))
        while torch._C._len_torch_function_stack():
            stack.enter_context(_pop_mode_temporarily())
        yield


@contextmanager
def _believing(env: ShapeEnv) -> Iterator[None]:
    """What is asserted of numbers that are made within. Torch notes none of it without guards, not
    even that the length of a slice is no less than 0."""
    known, torchs = set(env.var_to_range), type(env).guard_or_defer_runtime_assert

    def asserted(expr: Any, *arguments: Any, **keywords: Any) -> bool:
        holds = torchs(env, expr, *arguments, **keywords)
        if not known & expr.free_symbols:
            env._refine_ranges(expr)
            env._update_version_counter()
        return holds

    before = vars(env).get(torchs.__name__)
    vars(env)[torchs.__name__] = asserted
    try:
        yield
    finally:
        del vars(env)[torchs.__name__]
        if before:
            vars(env)[torchs.__name__] = before


class Inside(_Indexing):
    """Run with `inner` tensors where the code names `outer` ones."""

    def __init__(self, outer: Sequence[Tensor], inner: Sequence[Tensor]) -> None:
        super().__init__()
        self._level = _inside[-1] if _inside else None
        self._pairs: dict[int, tuple[Tensor, Tensor]] = {}
        self.replaced(outer, inner)

    def __enter__(self) -> Inside:
        _inside.append(self)
        super().__enter__()  # type: ignore[no-untyped-call]  # torch has no types for it
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # nor for it
        _inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = pytree.tree_map(self.now, (args, kwargs or {}))
        return self.run(func, args, kwargs)

    def copied(self, outer: Sequence[Tensor]) -> list[Tensor]:
        """Copies of the tensors that stand for these, in their places: they may be written into."""
        copies = [self.now(tensor).clone() for tensor in outer]
        self.replaced(outer, copies)
        return copies

    def replaced(self, outer: Sequence[Tensor], others: Sequence[Tensor]) -> None:
        for tensor, other in zip(outer, others, strict=True):
            for at in (tensor, self._level.now(tensor) if self._level else tensor):
                self._pairs[id(at)] = (at, other)

    def now(self, leaf: Any) -> Any:
        found = self._pairs.get(id(leaf))
        return found[1] if found else leaf


_inside: list[Inside] = []


def is_within() -> bool:
    """Is this the code of a subgraph, or tried as such?"""
    return bool(_watches or _inside)


def resolved(tensor: Tensor) -> Tensor:
    """The tensor that stands, where this is traced, for one that code outside made."""
    found: Tensor = _inside[-1].now(tensor) if _inside else tensor
    return found


class Operands:
    """What a subgraph is given: tensors of outside, and all numbers that code may compute with.

    `names`: the variables in its reach. Numbers with a fraction travel as tensors.
    """

    def __init__(self, tensors: Sequence[Tensor], names: Mapping[str, Any]) -> None:
        unique: dict[int, Tensor] = {}
        for tensor in tensors:
            at = resolved(tensor)
            unique.setdefault(id(at), at)
        self._outer = list(tensors)
        order = list(unique)
        self._at = [order.index(id(resolved(t))) for t in tensors]
        self._floats = [n for n, v in names.items() if isinstance(v, SymFloat) and free_symbols(v)]
        given = _apart(list(unique.values()))
        floats = [as_tensor(names[n]) for n in self._floats]
        self.all = (*given, *_sizes(list(names.values())), *floats)

    @contextmanager
    def inside(self, inner: Sequence[Any], variables: Variables) -> Iterator[Inside]:
        """Run with `inner` in the places of the operands."""
        reach = variables.in_reach()
        count = len(self._floats)
        with Inside(self._outer, [inner[at] for at in self._at]) as inside:
            for name, value in zip(self._floats, inner[len(inner) - count :], strict=True):
                variables.rebind(name, value.item())
            try:
                yield inside
            finally:
                for name in self._floats:
                    variables.rebind(name, reach[name])


def _apart(tensors: Sequence[Tensor]) -> list[Tensor]:
    """No two of one memory: torch refuses a subgraph that is given the odd and the even columns."""
    seen: set[StorageWeakRef] = set()
    found = []
    for tensor in tensors:
        memory = StorageWeakRef(tensor.untyped_storage())
        found.append(tensor if is_traced(tensor) and memory not in seen else tensor.clone())
        seen.add(memory)
    return found


def _sizes(values: list[Any]) -> list[SymInt]:
    """One of each: the sizes of the model's inputs, and what the values hold besides."""
    found: dict[Any, SymInt] = {}
    for tracked in shape_env().tracked_fakes or ():
        for size in getattr(tracked.fake, "shape", ()):
            if isinstance(size, SymInt) and free_symbols(size):
                found.setdefault(size.node.expr, size)
    for leaf in pytree.tree_leaves(values):
        if isinstance(leaf, SymInt) and free_symbols(leaf):
            found.setdefault(leaf.node.expr, leaf)
    return list(found.values())


def shape_env() -> ShapeEnv:
    mode = torch._guards.detect_fake_mode()
    assert mode is not None
    assert mode.shape_env is not None
    env: ShapeEnv = mode.shape_env
    return env
