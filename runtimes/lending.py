"""A module in float64 without a copy of it: each operator is lent the weights that it reads.

A copy in float64 is twice the weights beside them. Here a float32 tensor that goes into an operator
goes in as float64, made for that call and dropped after it, and the module stays what it is. A view
of a weight stays a view until something computes with it, and rows are looked up before they are
widened. A module that writes to its own tensors, or hands one on in a way that cannot be followed,
raises `Unlendable`: it needs a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from runtimes.widening import Widening, widening

_VIEWS = frozenset(
    {"__getitem__", "chunk", "detach", "expand", "expand_as", "flatten", "movedim", "narrow"}
    | {"permute", "reshape", "select", "split", "squeeze", "t", "transpose", "unbind", "unflatten"}
    | {"unsqueeze", "view", "view_as"}
)
_LOOKUPS = frozenset({"embedding", "index_select"})
_FACTS = frozenset({"__get__", "__len__", "dim", "is_floating_point", "numel", "size", "stride"})
_CASTS = frozenset({"contiguous", "double", "float", "to", "type", "type_as"})
"""They may return what they were given."""

_TRAINED = frozenset({"batch_norm", "instance_norm"})
"""They write running statistics where one of their flags is true, and count no version for it."""


class Unlendable(Exception):
    """The module does something that is only right in a copy of its own."""


def is_lendable(module: nn.Module) -> bool:
    """Are all its floating weights float32, on the CPU, and where PyTorch expects them?

    A tensor that is a plain attribute is a cache more often than not, and what TorchScript computes
    is not seen.
    """
    kept = [*module.parameters(), *module.buffers()]
    own = {id(tensor) for tensor in kept}
    return (
        all(t.device.type == "cpu" and type(t) in (Tensor, nn.Parameter) for t in kept)
        and {t.dtype for t in kept if t.is_floating_point() or t.is_complex()} == {torch.float32}
        and not any(isinstance(m, torch.jit.ScriptModule) for m in module.modules())
        and all(_tensors(vars(m)).keys() <= own for m in module.modules())
    )


class Lending(Widening):
    """While it is entered, the float32 tensors that operators are given are float64."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module
        self._owned = {_memory(t) for t in (*module.parameters(), *module.buffers()) if t.numel()}
        self._moves: dict[tuple[int, int], Callable[[Tensor], None]] = {}

    @contextmanager
    def lending(self) -> Iterator[None]:
        """The module gets back what it held. Raises Unlendable where it came to hold other tensors.

        What it was asked for in float32 by name is float64 as well; see `runtimes.widening`.
        """
        before = [(held, held.copy()) for held in _holders(self._module)]
        try:
            with widening(self):
                yield
        finally:
            other = [(held, old) for held, old in before if not _is_same(held, old)]
            changed = any(_tensors(held).keys() != _tensors(old).keys() for held, old in other)
            for held, old in other:
                held.clear()
                held.update(old) if isinstance(held, dict) else held.extend(old)
        if changed:
            raise Unlendable("it keeps tensors")

    @contextmanager
    def moved(self, moves: Iterable[tuple[Tensor, Callable[[Tensor], None]]]) -> Iterator[None]:
        """With each of these weights moved in place by its function when it is lent."""
        self._moves = {(w.data_ptr(), w.numel()): move for w, move in moves}
        try:
            yield
        finally:
            self._moves = {}

    def lent(self, value: Tensor) -> Tensor:
        """The tensor in float64: a float32 one as a new tensor of the same strides."""
        if value.dtype is not torch.float32 or value.device.type != "cpu":
            return value
        base = value if value._base is None else value._base
        if base.dtype is not torch.float32:
            base = value
        with torch._C._DisableTorchDispatch():  # it is no operator of the module's
            wide = base.detach().double()
            if move := self._moves.get((base.data_ptr(), base.numel())):
                move(wide)
            # Whether a product folds its batch depends on it (should_fold in ATen's LinearAlgebra).
            wide.requires_grad_(base.requires_grad)
            if base is value:
                return wide
            if wide.stride() != base.stride():
                return value.detach().double()
            offset = value.storage_offset() - base.storage_offset()
            return wide.as_strided(value.size(), value.stride(), offset)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").partition(".")[0]
        kwargs = kwargs or {}
        self._require_unwritten(name, args, kwargs)
        if name in _FACTS or (name in (_VIEWS | _LOOKUPS) and _is_plain(args, kwargs)):
            found = super().__torch_function__(func, types, args, kwargs)
            if found is torch.float32:
                return torch.float64
            if all(map(self._owns, _tensors(found).values())):
                return found
            if not self._moves:
                return tree_map_only(Tensor, lambda t: t if self._owns(t) else self.lent(t), found)
        return self._with_lent(func, name, types, args, kwargs)

    def _with_lent(self, func: Any, name: str, types: Any, args: Any, kwargs: Any) -> Any:
        lent: list[tuple[Tensor, int]] = []
        args = [self._lend(value, lent) for value in args]
        kwargs = {n: self._lend(value, lent) for n, value in kwargs.items()}
        found = super().__torch_function__(func, types, args, kwargs)
        if any(wide._version != version for wide, version in lent):
            raise Unlendable(f"{name} writes to what it reads")
        ours = {_memory(wide) for wide, _ in lent if wide.numel()}
        if name not in _CASTS and any(_memory(t) in ours for t in _tensors(found).values()):
            raise Unlendable(f"{name} hands on what it reads")
        return found

    def _lend(self, value: Any, lent: list[tuple[Tensor, int]]) -> Any:
        """The value with its tensors in float64; those that were made for it, with their versions.

        No closure: one that calls itself is a cycle, which would keep what is lent until Python
        looks for such, 2 GB of it in a model of 5.
        """
        if isinstance(value, Tensor):
            wide = self.lent(value)
            lent.extend([(wide, wide._version)] if wide is not value else [])
            return wide
        if type(value) in (list, tuple) and any(isinstance(v, Tensor) for v in value):
            return type(value)(self._lend(v, lent) for v in value)
        return value

    def _require_unwritten(self, name: str, args: Sequence[Any], kwargs: Any) -> None:
        writes = name in ("__setitem__", "__set__") or (name[-1:] == "_" and name[-2:] != "__")
        written = [*(args[:1] if writes else ()), *tree_leaves(kwargs.get("out"))]
        if name in _TRAINED and any(flag is True for flag in (*args, *kwargs.values())):
            written += [*args[1:2], kwargs.get("running_mean")]
        if any(isinstance(t, Tensor) and self._owns(t) for t in written):
            raise Unlendable(f"{name} writes to the module")

    def _owns(self, tensor: Tensor) -> bool:
        return _memory(tensor) in self._owned


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(tree: Any) -> dict[int, Tensor]:
    return {id(leaf): leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


def _is_plain(args: Sequence[Any], kwargs: Any) -> bool:
    """Neither a view as another dtype nor a lookup that rescales the rows it reads (max_norm)."""
    if any(isinstance(value, torch.dtype) for value in (*args, *kwargs.values())):
        return False
    return kwargs.get("max_norm") is None and not any(isinstance(v, float) for v in args)


def _holders(module: nn.Module) -> Iterator[dict[Any, Any] | list[Any]]:
    """Where a module keeps what it has: its attributes, and the lists and dicts among them."""
    for inner in module.modules():
        yield vars(inner)
        yield from (v for v in vars(inner).values() if isinstance(v, (dict, list)))


def _is_same(held: Any, old: Any) -> bool:
    if len(held) != len(old):
        return False
    if isinstance(held, dict):
        return all(key in held and held[key] is value for key, value in old.items())
    return all(a is b for a, b in zip(held, old, strict=True))
