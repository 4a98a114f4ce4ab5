"""Examples as users write them, made feeds: arrays by input name that fit a signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from toolkit.errors import InputError
from toolkit.examples import Feeds
from toolkit.model import to_array
from toolkit.signature import Signature


def as_feeds(examples: Any, signature: Signature) -> tuple[Feeds, ...]:
    """A list of examples, or one: a mapping by input name, a tuple in their order, a lone tensor.

    Raises InputError where one does not fit the signature.
    """
    several = examples if isinstance(examples, list) else [examples]
    return tuple(_feed(example, signature) for example in several)


def _feed(example: Any, signature: Signature) -> Feeds:
    names = [s.name for s in signature.inputs]
    if not isinstance(example, Mapping):
        tensors = example if isinstance(example, tuple) else (example,)
        if len(tensors) != len(names):
            raise InputError(
                f"an example has {len(tensors)} inputs, the signature {len(names)}",
                "give one for each of: " + ", ".join(names),
            )
        example = dict(zip(names, tensors, strict=True))
    feed = {str(name): _array(str(name), value) for name, value in example.items()}
    signature.validate(feed)
    return {name: feed[name] for name in names}


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return np.array(to_array(value))  # a copy: the model may write to its input
    if isinstance(value, (np.ndarray, np.generic)):
        return np.array(value)
    raise InputError(
        f"the example of '{name}' is a {type(value).__name__}", "give a tensor or an array"
    )
