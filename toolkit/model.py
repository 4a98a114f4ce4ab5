"""A PyTorch model held to a signature: tensors in by position, named tensors out.

Where it comes from is `toolkit.source`'s business; running it is the runtimes'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature as python_signature
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit import examples
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError, OnnxportError
from toolkit.signature import Signature, TensorSpec


@dataclass(frozen=True)
class LoadedModel:
    """A module in eval mode, with the signature it is held to and a word on where it came from."""

    module: nn.Module
    signature: Signature
    origin: str
    notes: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 of the weights file, where one was given."""

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    def weights(self) -> dict[str, np.ndarray]:
        """Parameters and buffers by name, without a copy where they are on the CPU."""
        state = (*self.module.named_parameters(), *self.module.named_buffers())
        return {name: to_array(tensor) for name, tensor in state}


class Flat(nn.Module):
    """The module with tensors in (in the order of the signature) and a tuple of tensors out.

    What exporters and sessions see, so that keyword arguments and nested outputs are dealt with in
    one place. The module itself is the attribute `model`.
    """

    def __init__(self, model: nn.Module, signature: Signature) -> None:
        super().__init__()
        self.model = model
        self._keywords = _keywords(model, [s.name for s in signature.inputs])
        self.training = model.training

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self._keywords:
            result = self.model(**dict(zip(self._keywords, tensors, strict=True)))
        else:
            result = self.model(*tensors)
        return tuple(tensor for _, tensor in flatten(result))


def flatten(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """The tensors in what a module returned, in order, each with a name made of its path.

    A lone tensor is `output`; keys of dicts and fields of named tuples and dataclasses are used as
    they are, positions count from 0. None is left out. Raises InputError for anything else.
    """
    if isinstance(value, torch.Tensor):
        return [(name or "output", value)]
    if value is None:
        return []
    if isinstance(value, Mapping):
        items = [(str(k), v) for k, v in value.items()]
    elif hasattr(value, "_fields"):
        items = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        items = [(str(i) if name else f"output_{i}", v) for i, v in enumerate(value)]
    elif hasattr(value, "__dataclass_fields__"):
        items = [(field, getattr(value, field)) for field in value.__dataclass_fields__]
    else:
        raise InputError(
            f"the model returns a {type(value).__name__} as '{name or 'output'}'",
            "return tensors, alone or in tuples, lists and dicts",
        )
    return [t for key, v in items for t in flatten(v, f"{name}.{key}" if name else key)]


def to_tensor(array: np.ndarray, dtype: str) -> torch.Tensor:
    """A tensor of its own memory (torch has no bfloat16 from numpy: by way of its bits)."""
    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def observed(model: LoadedModel) -> LoadedModel:
    """The model with its outputs declared: names, dtypes and shapes as seen at two sizes."""
    first = examples.example_sizes(model.signature)
    second = _other_sizes(model.signature, first)
    one, other = (_try_out(model, sizes) for sizes in (first, second))
    declared = model.signature.outputs
    names = [s.name for s in declared] or _output_names(model, [name for name, _ in one])
    if len(names) != len(one):
        raise InputError(
            f"the signature declares {len(names)} outputs, the model returns {len(one)}",
            "it returns: " + ", ".join(name for name, _ in one),
        )
    outputs = tuple(
        TensorSpec(name, _dtype_name(a), _shape(name, a.shape, b.shape, first, second))
        for name, (_, a), (_, b) in zip(names, one, other, strict=True)
    )
    for said, seen, (_, a), (_, b) in zip(declared, outputs, one, other, strict=False):
        if said.dtype != seen.dtype or not _keeps(said.shape, ((a, first), (b, second))):
            raise InputError(
                f"output '{said.name}' is declared {said.dtype}{list(said.shape)}, "
                f"the model returns {seen.dtype}{list(seen.shape)}",
                "correct the signature, or leave outputs out: they are observed",
            )
    return replace(model, signature=model.signature.with_outputs(declared or outputs))


def _keeps(
    shape: tuple[int | str, ...], seen: Iterable[tuple[torch.Tensor, Mapping[str, int]]]
) -> bool:
    """Does a declared shape agree with the tensors that came, each at its sizes?"""
    return all(
        len(shape) == tensor.dim()
        and all(
            sizes.get(n, size) == size if isinstance(n, str) else n == size
            for n, size in zip(shape, tensor.shape, strict=True)
        )
        for tensor, sizes in seen
    )


def _other_sizes(signature: Signature, first: Mapping[str, int]) -> dict[str, int]:
    """Sizes that differ from `first` in every dimension that can vary, however narrow its range."""
    second = examples.example_sizes(signature, avoid=first.values())
    for dim in signature.dims:
        if second[dim.name] == first[dim.name]:
            others = (n for n in reversed(dim.legal) if n and n != first[dim.name])
            second[dim.name] = next(others, first[dim.name])
    return second


def _try_out(model: LoadedModel, sizes: Mapping[str, int]) -> list[tuple[str, torch.Tensor]]:
    feeds = examples.feeds(model.signature, sizes, "uniform", np.random.default_rng(0))
    specs = {s.name: s for s in model.signature.inputs}
    tensors = {name: to_tensor(a, specs[name].dtype) for name, a in feeds.items()}
    names = _keywords(model.module, list(specs))
    try:
        with torch.no_grad():
            result = model.module(**tensors) if names else model.module(*tensors.values())
    except OnnxportError:
        raise
    except Exception as error:
        raise refusal(error, feeds) from error
    found = flatten(result)
    if not found:
        raise InputError("the model returns no tensor", "return at least one")
    return found


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """The tensor as numpy sees it: a view of its memory where it is on the CPU."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has none: by way of its bits
        return tensor.contiguous().view(torch.int16).numpy().view(numpy_dtype("bfloat16"))
    return tensor.numpy()


def refusal(error: Exception, feeds: Mapping[str, np.ndarray]) -> InputError:
    """The model itself raised on a feed that its signature allows."""
    shapes = ", ".join(f"{name} {list(a.shape)}" for name, a in feeds.items())
    return InputError(
        f"PyTorch itself refuses {shapes}: {first_line(error)}",
        "the signature promises more than the model accepts: narrow its ranges or values",
    )


def _output_names(model: LoadedModel, found: list[str]) -> list[str]:
    taken = {s.name for s in model.signature.inputs}
    return [f"{name}_out" if name in taken else name for name in found]


def _dtype_name(tensor: torch.Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise InputError(f"the model returns {name} tensors", "return real or integer tensors")
    return name


def _shape(
    name: str,
    one: torch.Size,
    other: torch.Size,
    first: Mapping[str, int],
    second: Mapping[str, int],
) -> tuple[int | str, ...]:
    """Each axis: a fixed size, the dimension it equals both times, or a name of its own."""
    if len(one) != len(other):
        raise InputError(
            f"output '{name}' has {len(one)} dimensions at one size and {len(other)} at another",
            "return tensors of a fixed rank",
        )
    shape: list[int | str] = []
    for axis, (a, b) in enumerate(zip(one, other, strict=True)):
        same = [d for d in first if first[d] == a and second[d] == b and a != b]
        own = a if a == b else f"{name}_{axis}".replace(".", "_")
        shape.append(same[0] if same else own)
    return tuple(shape)


def _keywords(module: nn.Module, names: list[str]) -> tuple[str, ...]:
    """The names, where all of them are parameters of `forward`; none where they go by position.

    Raises InputError where some are parameters but stand at another position: that is a slip.
    """
    parameters = [
        p.name
        for p in python_signature(module.forward).parameters.values()
        if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    if all(name in parameters for name in names):
        return () if names == parameters[: len(names)] else tuple(names)
    for position, name in enumerate(names):
        if name in parameters and parameters.index(name) != position:
            raise InputError(
                f"input '{name}' is number {position + 1} of the signature and number "
                f"{parameters.index(name) + 1} of forward({', '.join(parameters)})",
                "name all inputs as forward does, or list them in its order",
            )
    return ()


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
