"""How the tensors of a signature become the arguments of `forward`: from an example, or from names.

`batch.ids` is the entry `ids` of the argument `batch`, `states.0` the first of a tuple, `z.complex`
a pair of real numbers that the argument `z` takes as a complex one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from inspect import Parameter, signature as python_signature
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.signature import TensorSpec
from toolkit.structure import COMPLEX, Parts, taken_apart

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """A call of forward with places for tensors; everything else in it is a constant."""

    names: tuple[str, ...]
    arguments: Callable[[Sequence[torch.Tensor]], Arguments]
    constants: tuple[tuple[str, Any], ...] = ()

    def under(self, names: Sequence[str]) -> Call:
        """For tensors under these names: in their order where they are the same, else renamed."""
        if sorted(names) != sorted(self.names):
            return replace(self, names=tuple(names))
        order = [names.index(name) for name in self.names]
        return replace(
            self,
            names=tuple(names),
            arguments=lambda tensors: self.arguments([tensors[n] for n in order]),
        )


def described(
    module: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Call, list[torch.Tensor]]:
    """The call that an example makes, and its tensors. Raises InputError where forward refuses it.

    Names are those of forward's parameters, with the path inside where one is a structure.
    """
    parts = Parts()
    named = _bound(module, arguments, keywords)
    positional = [taken_apart(v, name, parts) for name, v in named[: len(arguments)]]
    by_name = {name: taken_apart(v, name, parts) for name, v in named[len(arguments) :]}

    def remade(tensors: Sequence[torch.Tensor]) -> Arguments:
        left = iter(tensors)
        first = tuple(make(left) for make in positional)
        return first, {name: make(left) for name, make in by_name.items()}

    names = tuple(name for name, _ in parts.tensors)
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"two tensors of the example are called '{twice[0]}'", "rename a key")
    return Call(names, remade, tuple(parts.constants)), [tensor for _, tensor in parts.tensors]


def _bound(
    module: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Each argument with the name that forward gives it."""
    signature = python_signature(module.forward)
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise InputError(
            f"forward{signature} does not take the example: {error}",
            "give its arguments as a tuple, or as a mapping by name",
        ) from error
    names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is Parameter.VAR_POSITIONAL:
            rest = len(arguments) - len(names)
            names += [f"{parameter.name}.{n}" for n in range(rest)]
        elif parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return [*zip(names, arguments, strict=False), *keywords.items()]


def named(module: nn.Module, inputs: Sequence[TensorSpec]) -> Call:
    """The call that the names of a signature mean.

    By keyword where all are parameters of forward or paths that begin with one, else by position.
    Raises InputError where some are parameters but stand at another position: that is a slip.
    """
    pairs = [_is_pair(spec) for spec in inputs]
    names = tuple(spec.name for spec in inputs)
    paths = [
        name.removesuffix(COMPLEX) if pair else name
        for name, pair in zip(names, pairs, strict=True)
    ]
    parameters = [
        p.name
        for p in python_signature(module.forward).parameters.values()
        if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    by_keyword = all(path.partition(".")[0] in parameters for path in paths)
    tree = _tree(paths) if by_keyword and any(path not in parameters for path in paths) else {}
    if _has_gaps(tree):  # `input.1` alone is a name that TorchScript gives
        by_keyword, tree = False, {}
    if not by_keyword:
        _require_order(paths, parameters)
    hints = _hints(module) if tree else {}

    def arguments(tensors: Sequence[torch.Tensor]) -> Arguments:
        given = [
            torch.view_as_complex(tensor) if pair else tensor
            for tensor, pair in zip(tensors, pairs, strict=True)
        ]
        if tree:
            return (), {name: _made(node, hints.get(name), given) for name, node in tree.items()}
        if not by_keyword or paths == parameters[: len(paths)]:
            return tuple(given), {}
        return (), dict(zip(paths, given, strict=True))

    return Call(names, arguments)


def _is_pair(spec: TensorSpec) -> bool:
    return spec.name.endswith(COMPLEX) and spec.is_float and spec.shape[-1:] == (2,)


def _require_order(names: Sequence[str], parameters: Sequence[str]) -> None:
    for position, name in enumerate(names):
        if name in parameters and parameters.index(name) != position:
            raise InputError(
                f"input '{name}' is number {position + 1} of the signature and number "
                f"{parameters.index(name) + 1} of forward({', '.join(parameters)})",
                "name all inputs as forward does, or list them in its order",
            )


def _hints(module: nn.Module) -> dict[str, Any]:
    try:
        return get_type_hints(module.forward)
    except Exception:  # a name that only a type checker sees
        return {}


def _tree(paths: Sequence[str]) -> dict[str, Any]:
    """Paths as nested dicts, each number at its place."""
    tree: dict[str, Any] = {}
    for number, path in enumerate(paths):
        *above, last = path.split(".")
        branch = tree
        for key in above:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                break
        if not isinstance(branch, dict) or last in branch:
            raise InputError(f"input '{path}' is within another, or has one inside", "rename it")
        branch[last] = number
    return tree


def _has_gaps(tree: Mapping[str, Any]) -> bool:
    """Are there positions without the ones before?"""
    numbers = sorted(int(key) for key in tree if key.isdigit())
    inside = (node for node in tree.values() if isinstance(node, dict))
    return numbers != list(range(len(numbers))) or any(map(_has_gaps, inside))


def _made(node: Any, hint: Any, tensors: Sequence[torch.Tensor]) -> Any:
    """A tensor, or a dict, tuple or list of them, or the class that a hint names."""
    if isinstance(node, int):
        return tensors[node]
    hint = _required(hint)
    kind = get_origin(hint) or hint
    inside = _inside(kind, hint, node)
    values = {key: _made(child, inside.get(key), tensors) for key, child in node.items()}
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return kind(**values)
    if not all(key.isdigit() for key in values):
        return values
    listed = [values[str(n)] for n in range(len(values))]
    return listed if kind is list else tuple(listed)


def _required(hint: Any) -> Any:
    """`X` of `X | None`."""
    options = [h for h in get_args(hint) if h is not type(None)]
    return options[0] if len(options) == 1 and type(None) in get_args(hint) else hint


def _inside(kind: Any, hint: Any, keys: Iterable[str]) -> dict[str, Any]:
    """The annotations one level below."""
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        try:
            return get_type_hints(kind)
        except Exception:  # a name that only a type checker sees
            return {}
    members = [h for h in get_args(hint) if h is not Ellipsis]
    return dict.fromkeys(keys, members[-1]) if members and kind in (list, tuple, dict) else {}
