"""A PyTorch model held to a signature: tensors in by position, named tensors out.

What its arguments look like is said in `toolkit.calls`, what it returns in `toolkit.structure`.

Where it comes from is `toolkit.source`'s business; running it is the runtimes'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from toolkit import examples
from toolkit.calls import Call, named
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError, OnnxportError
from toolkit.examples import Feeds
from toolkit.kept import kept
from toolkit.signature import Signature, TensorSpec
from toolkit.structure import flatten
from toolkit.trials import ByValues, Trial, further_trials, trials
from toolkit.uncompiled import uncompiled


@dataclass(frozen=True)
class LoadedModel:
    """A module in eval mode, with the signature it is held to and a word on where it came from."""

    module: nn.Module
    signature: Signature
    origin: str
    notes: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 of the weights file, where one was given."""
    examples: tuple[Feeds, ...] = ()
    """Inputs that came with the model: the first cases of its checks, and the only ones where the
    signature says that values come from data."""
    call: Call | None = None
    """How an example called it; without one the names of the signature say."""
    returns: tuple[str, ...] = ()
    """The path of each output in what the module returns, as it was observed."""
    proposed: bool = False
    """True where the signature was found by trial: it may be made narrower, nobody asked for it."""
    reset: Callable[[], object] | None = None
    """Makes the module keep nothing of the calls since it was loaded (`toolkit.kept`)."""
    graded: bool = False
    """It takes gradients in its forward pass (forces of an energy) and leaves it to others to allow
    them."""

    def flat(self) -> Flat:
        """Tensors in, tensors out: what exporters trace and sessions run."""
        return Flat(self.module, self.signature, self.call, self.returns, graded=self.graded)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def size(self) -> int:
        """Bytes of all parameters and buffers; what is tied counts once."""
        kept = (*self.module.parameters(), *self.module.buffers())
        return sum(tensor.nbytes for tensor in kept)

    def weights(self) -> dict[str, np.ndarray]:
        """Parameters and buffers by all their names, without a copy where they are on the CPU.

        A tied one has several: a file may call it by any of them.
        """
        named = (self.module.named_parameters, self.module.named_buffers)
        state = [pair for find in named for pair in find(remove_duplicate=False)]
        return {name: to_array(tensor) for name, tensor in state}


class Flat(nn.Module):
    """The module with tensors in (in the order of the signature) and a tuple of tensors out.

    What exporters and sessions see, so that keyword arguments and nested outputs are dealt with in
    one place. The module itself is the attribute `model`. Raises InputError where the module
    returns other outputs than `returns`.
    """

    def __init__(
        self,
        model: nn.Module,
        signature: Signature,
        call: Call | None = None,
        returns: tuple[str, ...] = (),
        *,
        graded: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self._grading = torch.enable_grad if graded else nullcontext
        self._arguments = (call or named(model, signature.inputs)).arguments
        self._returns = returns
        self.training = model.training

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments, keywords = self._arguments(tensors)
        with self._grading():
            found = flatten(self.model(*arguments, **keywords))
        if self._returns:
            _require_same(self._returns, [name for name, _ in found])
        return tuple(t.detach() if t.requires_grad else t for _, t in found)


def _require_same(expected: Sequence[str], found: Sequence[str]) -> None:
    if list(expected) == list(found):
        return
    odd = next((n for n in (*expected, *found) if (n in expected) != (n in found)), None)
    what = "the order of its outputs" if odd is None else f"'{odd}'"
    missing = "another one" if odd is None else "not there" if odd in expected else "there"
    raise InputError(
        f"what the model returns depends on its input: {what} is {missing} for some",
        "return the same structure for every size and value",
    )


def to_tensor(array: np.ndarray, dtype: str) -> torch.Tensor:
    """A tensor of its own memory (torch has no bfloat16 from numpy: by way of its bits)."""
    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def observed(model: LoadedModel) -> LoadedModel:
    """The model with its outputs declared: names, dtypes and shapes as seen at a few sizes.

    Where values come from data only, as seen on the examples.
    """
    call = model.call or named(model.module, model.signature.inputs)
    reset = model.reset or kept(model.module).put_back
    left_out: list[str] = []
    try:
        tried = _trials(model.signature, model.examples)
        with ByValues() as by_values:
            runs = [Run(at, *_try_out(model, call, feeds, left_out)) for at, feeds in tried]
    except InputError as error:
        if model.graded or _UNGRADED not in str(error.__cause__):
            raise
        return observed(replace(model, graded=True))
    if by_values.seen and not model.signature.from_data:
        for at, feeds in further_trials(model.signature):
            with suppress(InputError):  # its check says which values it refuses
                runs.append(Run(at, *_try_out(model, call, feeds, left_out)))
    found, declared = runs[0].names, model.signature.outputs
    for run in runs[1:]:
        _require_same(found, run.names)
    names = [s.name for s in declared] or _output_names(model, found)
    if len(names) != len(found):
        raise InputError(
            f"the signature declares {len(names)} outputs, the model returns {len(found)}",
            "it returns: " + ", ".join(found),
        )
    outputs = tuple(
        TensorSpec(name, _dtype_name(runs[0].tensors[n]), _shape(name, n, runs, model.signature))
        for n, name in enumerate(names)
    )
    for n, (said, seen) in enumerate(zip(declared, outputs, strict=False)):
        if said.dtype != seen.dtype or not _keeps(said.shape, n, runs):
            raise InputError(
                f"output '{said.name}' is declared {said.dtype}{list(said.shape)}, "
                f"the model returns {seen.dtype}{list(seen.shape)}",
                "correct the signature, or leave outputs out: they are observed",
            )
    return replace(
        model,
        signature=model.signature.with_outputs(declared or outputs),
        returns=tuple(found),
        reset=reset,
        notes=tuple(dict.fromkeys((*model.notes, *(f"output {text}" for text in left_out)))),
    )


_UNGRADED = "does not require grad and does not have a grad_fn"
"""What torch.autograd.grad says where gradients are off."""


def held_to(model: LoadedModel, signature: Signature) -> LoadedModel:
    """The model under another signature, with those of its examples that fit; observed again."""
    fitting = tuple(feed for feed in model.examples if _fits(feed, signature))
    return observed(replace(model, signature=signature, examples=fitting))


def _fits(feed: Feeds, signature: Signature) -> bool:
    try:
        signature.validate(feed)
    except InputError:
        return False
    return True


class Run(NamedTuple):
    """What the module returned when it was tried: at which sizes, under which names."""

    sizes: Mapping[str, int]
    names: list[str]
    tensors: list[torch.Tensor]


_TRIED = 8
"""Examples that are tried at most before anything is known of the outputs."""


def _trials(signature: Signature, given: Sequence[Feeds]) -> Iterator[Trial]:
    if not signature.from_data:
        return trials(signature)
    examples.require_given(signature, given)
    return ((signature.validate(f), f) for f in given[:_TRIED])


def _keeps(shape: tuple[int | str, ...], number: int, runs: Sequence[Run]) -> bool:
    """Does a declared shape agree with the tensors that came, each at its sizes?"""
    return all(
        len(shape) == run.tensors[number].dim()
        and all(
            run.sizes.get(n, size) == size if isinstance(n, str) else n == size
            for n, size in zip(shape, run.tensors[number].shape, strict=True)
        )
        for run in runs
    )


def _try_out(
    model: LoadedModel, call: Call, feeds: Feeds, left_out: list[str]
) -> tuple[list[str], list[torch.Tensor]]:
    arguments, keywords = call.arguments(
        [to_tensor(feeds[s.name], s.dtype) for s in model.signature.inputs]
    )
    try:
        with torch.set_grad_enabled(model.graded), uncompiled():
            result = model.module(*arguments, **keywords)
    except OnnxportError:
        raise
    except Exception as error:
        raise refusal(error, feeds) from error
    found = flatten(result, left_out=left_out)
    if not found:
        raise InputError("the model returns no tensor", "return at least one")
    return [name for name, _ in found], [tensor for _, tensor in found]


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
    name: str, number: int, runs: Sequence[Run], signature: Signature
) -> tuple[int | str, ...]:
    """Each axis: a fixed size, the dimension it equals every time, or a name of its own.

    Where no example varies a dimension, the only axis of its size is taken to follow it, or the one
    at its place in an input; any other has a name of its own, which claims nothing.
    """
    shapes = [run.tensors[number].shape for run in runs]
    if len({len(shape) for shape in shapes}) > 1:
        ranks = list(dict.fromkeys(len(shape) for shape in shapes))
        raise InputError(
            f"output '{name}' has {ranks[0]} dimensions at one size and {ranks[1]} at another",
            "return tensors of a fixed rank",
        )
    dims = [d.name for d in signature.dims if len(d.legal) > 1]
    places = {place for spec in signature.inputs for place in enumerate(spec.shape)}
    shape: list[int | str] = []
    for axis, came in enumerate(zip(*shapes, strict=True)):
        at = list(zip(runs, came, strict=True))
        same = [d for d in dims if all(run.sizes[d] == size for run, size in at)]
        own = f"{name}_{axis}".replace(".", "_")
        if len(set(came)) > 1:
            shape.append(same[0] if same else own)
        elif signature.from_data and same:
            alone = shapes[0].count(came[0]) == 1 or (axis, same[0]) in places
            shape.append(same[0] if alone and len(same) == 1 else own)
        else:
            shape.append(came[0])
    return tuple(shape)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
