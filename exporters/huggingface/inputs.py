"""The signature of a transformers model, from its config and what it runs at.

Where a config leaves it open (may the image be of any size?), the widest reading that the model
itself runs at is taken: it is tried at an example, at the low and at the high end. Where it runs at
all but the low end (a stack of poolings needs more than two tokens), that is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import nn

from exporters.huggingface.graph import Graph, aside, parameters
from exporters.huggingface.readings import DEFAULT, READINGS, TEXT, Ranges
from toolkit import examples
from toolkit.domain import Interval
from toolkit.errors import InputError
from toolkit.model import first_line, to_tensor
from toolkit.signature import Dim, Signature
from toolkit.structure import flatten

_DOUBLED = 5
"""How often the low ends are doubled before a candidate is given up."""


def signature(model: nn.Module, ranges: Ranges = DEFAULT) -> Signature:
    """The widest signature of the candidates that the model runs at. Raises InputError with what
    the model said to the first one where it runs at none."""
    said = ""
    for candidate in candidates(model, ranges):
        refused = refusal(model, candidate)
        if not refused:
            return candidate
        said = said or refused
    for candidate in candidates(model, ranges):
        if raised := _raised(model, candidate):
            return raised
    name = type(model).__name__
    if not said:
        takes = ", ".join(parameters(model)[:6])
        raise InputError(f"{name} takes no input that is known here", f"it takes {takes}")
    raise InputError(f"{name} runs at no signature that its config suggests: {said}")


def refusal(model: nn.Module, signature: Signature) -> str:
    """What the model says to a signature at an example and at its ends; empty where it runs."""
    graph = Graph(aside(model), [s.name for s in signature.inputs])
    example = examples.example_sizes(signature)
    ends = ({d.name: d.low for d in signature.dims}, {d.name: d.legal[-1] for d in signature.dims})
    for sizes in (example, *ends):
        if signature.batch and sizes is not example:  # the ends of the batch itself need no trial
            sizes[signature.batch] = signature.dim(signature.batch).snap(2)
        feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
        tensors = [to_tensor(feeds[s.name], s.dtype) for s in signature.inputs]
        try:
            with torch.no_grad():
                if not flatten(graph(*tensors)):
                    return "it returns no tensor"
        except Exception as error:
            return f"{type(error).__name__}: {first_line(error)}"
    return ""


def _raised(model: nn.Module, signature: Signature) -> Signature | None:
    """With low ends, but for the batch's, as low as the model takes them; None where it takes none
    up to 32 times as high, or they are not why it refuses."""
    names = [d.name for d in signature.dims if d.name != signature.batch]
    found = signature
    for _ in range(_DOUBLED if names else 0):
        lows = {n: 2 * found.dim(n).low for n in names}
        if any(2 * low > found.dim(n).high for n, low in lows.items()):
            return None
        found = _from(found, lows)
        if not refusal(model, found):
            for name in names:
                found = _lowered(model, found, name, signature.dim(name).low)
            return found
    return None


def _lowered(model: nn.Module, signature: Signature, name: str, refused: int) -> Signature:
    """With the least low end of one dimension that is taken, of which so much may be refused."""
    low, step = signature.dim(name).low, signature.dim(name).step
    if not refusal(model, trial := _from(signature, {name: refused})):
        return trial
    while low - refused > step:
        middle = refused + (low - refused) // (2 * step) * step
        if refusal(model, _from(signature, {name: middle})):
            refused = middle
        else:
            low = middle
    return _from(signature, {name: low})


def _from(signature: Signature, lows: Mapping[str, int]) -> Signature:
    dims = (
        replace(d, sizes=Interval(lows[d.name], d.high, d.step if d.step > 1 else None))
        if d.name in lows
        else d
        for d in signature.dims
    )
    return replace(signature, dims=tuple(dims))


def candidates(model: nn.Module, ranges: Ranges) -> Iterator[Signature]:
    """Signatures of the model's inputs, the widest first."""
    taken = parameters(model)
    readings = {n: list(read(model, ranges)) for n, read in READINGS.items() if n in taken}
    seen: list[Signature] = []
    for names in _choices(model, [n for n in readings if readings[n]]):
        for ways in product(*(readings[n] for n in names)) if names else ():
            dims = {"batch": Dim("batch", Interval(1, ranges.batch))}
            for dim in (d for way in ways for d in way.dims):
                dims.setdefault(dim.name, dim)
            if any(isinstance(n, str) and n not in dims for way in ways for n in way.spec.shape):
                continue  # a mask without what it masks
            found = Signature(tuple(w.spec for w in ways), tuple(dims.values()))
            if found not in seen:
                seen.append(found)
                yield found


def _choices(model: nn.Module, known: Sequence[str]) -> Iterator[list[str]]:
    """Which of the inputs that a model takes it is given: all of them, or one kind of them."""
    texts = [n for n in known if n in TEXT]
    main = getattr(model, "main_input_name", "")
    first = [main] if main in known else []
    others = [n for n in known if n not in TEXT]
    if texts:
        yield [*texts, *others] if _contrastive(model) else texts
    yield list(known)
    for name in (*first, *others):
        yield [name]
        if "decoder_input_ids" in known:
            yield [name, "decoder_input_ids"]
    if texts:
        yield texts
        yield [n for n in texts if n != "attention_mask"]
        yield texts[:1]


def _contrastive(model: nn.Module) -> bool:
    """Does it compare texts with something else (CLIP), and so needs both?"""
    return "return_loss" in parameters(model)
