"""Structured values and the tensors inside: names made of paths, and the way back.

A structure is what torch.utils._pytree knows (dicts, lists, tuples, named tuples, whatever a
library registered there), and beside these any mapping, dataclass, and subclass of list or tuple.
A complex tensor is a pair of real numbers, its name ends with `.complex`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.utils import _pytree as pytree

from toolkit.errors import InputError

COMPLEX = ".complex"

Making = Callable[[Iterator[torch.Tensor]], Any]
"""Makes a structure again, of new tensors that come in the order of the old."""

_CONSTANTS = (
    *(type(None), bool, int, float, complex, str, bytes, slice, range, Enum, type),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
    *(torch.SymInt, torch.SymFloat, torch.SymBool),
)


_NUMBERS = (
    ((bool, torch.SymBool), torch.bool),
    ((int, torch.SymInt), torch.int64),
    ((float, torch.SymFloat), torch.float64),
)


@dataclass
class Parts:
    """What a structure consists of: tensors and constants, each by its path."""

    tensors: list[tuple[str, torch.Tensor]] = field(default_factory=list)
    constants: list[tuple[str, Any]] = field(default_factory=list)


class Level(NamedTuple):
    """One level of a structure."""

    keys: list[str]
    values: list[Any]
    made_of: Callable[[list[Any]], Any]
    """The same kind of structure with other values."""


def taken_apart(value: Any, path: str, parts: Parts) -> Making:
    """Add what is in a value to `parts`; returns how to make it again.

    Raises InputError for an object that may hide tensors.
    """
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        is_complex = value.is_complex()
        parts.tensors.append((path + COMPLEX if is_complex else path, as_real(value)))
        return _next_complex if is_complex else next
    level = opened(value)
    if level is None:
        if not (isinstance(value, _CONSTANTS) or callable(value)):
            raise InputError(
                f"'{path}' is a {type(value).__name__}, whose tensors cannot be seen",
                "pass tensors in dicts, lists, tuples or dataclasses, or register the class with"
                " torch.utils._pytree.register_pytree_node",
            )
        parts.constants.append((path, value))
        return lambda tensors: value
    makings = [
        taken_apart(child, f"{path}.{key}" if path else key, parts)
        for key, child in zip(level.keys, level.values, strict=True)
    ]
    return lambda tensors: level.made_of([make(tensors) for make in makings])


def flatten(
    value: Any, name: str = "", left_out: list[str] | None = None
) -> list[tuple[str, torch.Tensor]]:
    """The tensors in what a module returned, in order, each with a name made of its path.

    A lone tensor is `output`; keys of dicts and fields of named tuples and dataclasses are used as
    they are, positions count from 0. Numbers become tensors without dimensions. None is left out,
    and so is text, whose name is added to `left_out`. Raises InputError for anything else.
    """
    if isinstance(value, torch.Tensor):
        return [((name or "output") + COMPLEX * value.is_complex(), as_real(value))]
    if value is None:
        return []
    for kinds, dtype in _NUMBERS:
        if isinstance(value, kinds):
            return [(name or "output", torch.scalar_tensor(cast(float, value), dtype=dtype))]
    level = opened(value)
    if level is None:
        if not isinstance(value, _CONSTANTS):
            raise InputError(
                f"the model returns a {type(value).__name__} as '{name or 'output'}'",
                "return tensors, alone or in tuples, lists, dicts and dataclasses, or register the"
                " class with torch.utils._pytree.register_pytree_node",
            )
        if left_out is not None:
            left_out.append(f"'{name or 'output'}' is a {type(value).__name__}: it is left out")
        return []
    positions = not name and not isinstance(value, Mapping)
    found = []
    for key, child in zip(level.keys, level.values, strict=True):
        own = f"output_{key}" if positions and key.isdigit() else key
        found += flatten(child, f"{name}.{own}" if name else own, left_out)
    return found


def opened(value: Any) -> Level | None:
    """The level below a value; None for what is no structure."""
    if not pytree.tree_is_leaf(value):
        children, tree = pytree.tree_flatten(value, is_leaf=lambda v: v is not value)
        return Level(
            _keys(value, len(children)), children, lambda new: pytree.tree_unflatten(new, tree)
        )
    if isinstance(value, Mapping):
        return Level(
            [str(key) for key in value],
            list(value.values()),
            lambda new: _mapping(value, dict(zip(value, new, strict=True))),
        )
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value)]
        return Level(
            names,
            [getattr(value, name) for name in names],
            lambda new: _instance(value, dict(zip(names, new, strict=True))),
        )
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        return Level([str(n) for n in range(len(value))], list(value), type(value))
    return None


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """A complex tensor [...] as real numbers [..., 2]; any other as it is."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _next_complex(tensors: Iterator[torch.Tensor]) -> torch.Tensor:
    return torch.view_as_complex(next(tensors))


def _keys(value: Any, count: int) -> list[str]:
    """What people call the children of a registered structure; positions where it does not say."""
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    try:
        paths = pytree.tree_flatten_with_path(value, is_leaf=lambda v: v is not value)[0]
    except ValueError:  # registered without names
        return [str(n) for n in range(count)]
    return [_text(path[-1]) for path, _ in paths]


def _text(key: Any) -> str:
    """The bare word of torch's GetAttrKey('a') (.a), MappingKey('a') (['a']), SequenceKey(0)."""
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _mapping(old: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    if not isinstance(old, MutableMapping):
        return type(old)(items)  # type: ignore[call-arg]
    new = copy.copy(old)
    new.update(items)
    return new


def _instance(old: Any, values: dict[str, Any]) -> Any:
    """A copy with other fields: its constructor may compute what it holds, or not take them all."""
    new = copy.copy(old)
    for name, value in values.items():
        object.__setattr__(new, name, value)
    return new
