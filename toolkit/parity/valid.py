"""Which positions of an output mean something: `logits valid where mask` in the signature. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolkit.errors import InputError
from toolkit.examples import is_mask
from toolkit.signature import Signature, TensorSpec


def aligned(mask: TensorSpec, output: TensorSpec) -> tuple[int, ...] | None:
    """The axis of the output for each axis of the mask, by dimension name; None where one lacks."""
    shape = list(output.shape)
    if not mask.shape or any(not isinstance(n, str) or shape.count(n) != 1 for n in mask.shape):
        return None
    return tuple(shape.index(n) for n in mask.shape)


def positions(mask: np.ndarray, axes: tuple[int, ...], rank: int) -> np.ndarray:
    """Where the mask is not 0, in a shape that broadcasts over an output of that rank."""
    order = np.argsort(axes)
    found = np.transpose(mask != 0, order)
    shape = np.ones(rank, int)
    shape[np.asarray(axes)[order]] = found.shape
    return found.reshape(tuple(shape))


def valid(signature: Signature, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By output of which only some positions mean something: which, broadcastable.

    Raises InputError where there is no such output, or a mask has no place in it.
    """
    outputs = {s.name: s for s in signature.outputs}
    masks = {s.name: s for s in signature.inputs}
    found = {}
    for name, mask in signature.valid:
        if name not in outputs:
            raise InputError(
                f"there is no output '{name}' to be valid where '{mask}'",
                "outputs are: " + ", ".join(outputs),
            )
        axes = aligned(masks[mask], outputs[name])
        if axes is None:
            shapes = f"{list(masks[mask].shape)} in {list(outputs[name].shape)}"
            raise InputError(
                f"'{name}' cannot be valid where '{mask}': its dimensions are not all there once",
                f"looked for {shapes}",
            )
        found[name] = positions(feeds[mask], axes, len(outputs[name].shape))
    return found


def kept(
    outputs: Mapping[str, np.ndarray], counted: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The outputs with 0 where nothing is meant. One of another rank or size is left as it is."""
    return {n: _kept(a, counted[n]) if n in counted else a for n, a in outputs.items()}


def _kept(array: np.ndarray, counted: np.ndarray) -> np.ndarray:
    fits = array.ndim == counted.ndim and all(
        n in (1, m) for n, m in zip(counted.shape, array.shape, strict=True)
    )
    return np.where(counted, array, np.zeros((), array.dtype)) if fits else array


def suspects(
    signature: Signature, feeds: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """By mask among the inputs, the outputs in which it has a place and the positions it keeps."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for mask in filter(is_mask, signature.inputs):
        for output in signature.outputs:
            axes = aligned(mask, output)
            if axes is not None and not feeds[mask.name].all():
                where = positions(feeds[mask.name], axes, len(output.shape))
                found.setdefault(mask.name, {})[output.name] = where
    return found
