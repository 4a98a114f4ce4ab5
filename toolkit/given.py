"""Examples as users write them: feeds that fit a signature, and the call that they show."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.calls import Call, described
from toolkit.errors import InputError
from toolkit.examples import Feeds
from toolkit.model import to_array
from toolkit.signature import Signature
from toolkit.structure import as_real


def read(
    examples: Any, module: nn.Module, signature: Signature
) -> tuple[Call | None, tuple[Feeds, ...]]:
    """The feeds of a list of examples, or of one, and how they call the module.

    An example is a tuple of the arguments of forward, a mapping of them by keyword, a lone tensor,
    or a mapping by input name (then there is no call to see), or the path of an .npz or .npy file
    that holds such arrays. Raises InputError where one does not
    fit the signature, or is another kind of call than the first.
    """
    names = [s.name for s in signature.inputs]
    call: Call | None = None
    feeds = []
    for example in several(examples):
        if is_feed(example):
            feed = {str(name): array(value) for name, value in example.items()}
        else:
            one, tensors = called(module, example)
            require_alike(call, one)
            call = call or one
            if len(tensors) != len(names):
                raise InputError(
                    f"an example has {len(tensors)} inputs, the signature {len(names)}",
                    f"it has {', '.join(one.names)}; the signature {', '.join(names)}",
                )
            own = names if sorted(one.names) != sorted(names) else one.names
            feed = {name: array(t) for name, t in zip(own, tensors, strict=True)}
        signature.validate(feed)
        feeds.append({name: feed[name] for name in names})
    return call and call.under(names), tuple(feeds)


def several(examples: Any) -> list[Any]:
    """A list is several examples, anything else one; files are read."""
    listed = examples if isinstance(examples, list) else [examples]
    return [_read(e) if isinstance(e, (str, Path)) else e for e in listed]


def _read(path: str | Path) -> Any:
    """The array of an .npy, those of an .npz by name, or in order where they have no names."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"'{path}' is not a file of arrays: {str(error).splitlines()[0][:200]}",
            "write it with np.save or np.savez(path, ids=..., mask=...), without objects",
        ) from error
    nameless = [f"arr_{n}" for n in range(len(arrays))]
    return tuple(arrays[n] for n in nameless) if list(arrays) == nameless else arrays


def called(module: nn.Module, example: Any) -> tuple[Call, list[torch.Tensor]]:
    """The call of one example: a tuple of arguments, a mapping of keywords, or a lone argument."""
    if isinstance(example, Mapping):
        return described(module, (), {str(key): value for key, value in example.items()})
    return described(module, example if isinstance(example, tuple) else (example,), {})


def require_alike(first: Call | None, other: Call) -> None:
    """Raises InputError where two examples differ in anything but their tensors."""
    if first is None:
        return
    if first.names != other.names:
        odd = sorted(set(first.names) ^ set(other.names))
        raise InputError(
            f"examples have other inputs: '{(odd or other.names)[0]}' is in some",
            "give every example the same structure",
        )
    constants = dict(other.constants)
    for path, value in first.constants:
        if path not in constants or not _equal(value, constants[path]):
            raise InputError(
                f"'{path}' is {value!r} in one example and {constants.get(path)!r} in another",
                "what is no tensor is a constant of the export: export once for each",
            )


def _equal(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def is_feed(example: Any) -> bool:
    """Arrays by input name, and not a call: complex ones have to become pairs first."""
    return isinstance(example, Mapping) and all(map(_is_real, example.values()))


def _is_real(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not value.is_complex()
    return isinstance(value, (np.ndarray, np.generic)) and not np.iscomplexobj(value)


def array(value: Any) -> np.ndarray:
    """A copy, as the model may write to its input; of a complex tensor its pairs."""
    if isinstance(value, torch.Tensor):
        return np.array(to_array(as_real(value)))
    return np.array(value)


def arrays(call: Call, tensors: Sequence[torch.Tensor]) -> Feeds:
    """The feed of an example under the names of its call."""
    return {name: array(tensor) for name, tensor in zip(call.names, tensors, strict=True)}
