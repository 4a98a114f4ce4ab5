"""Models that write sequences: which graphs they are run as, and which tokens start and end.

Such a module says so by two attributes: `parts`, the signature of each of its submodules that is a
graph of its own, and `generation`. One part is the `decoder`:

    ids          int64[batch, tokens]         the tokens that came since the last step
    past.NAME    any shape, batch first       the state that the last step returned
    ANYTHING     an output or an input of the encoder, under its name there
    -> logits    float[batch, tokens, words]  scores of what follows each token
    -> present.NAME                           the state after these tokens

A dimension of the state other than the batch is its length, and starts at 0 (a KV cache); a state
without one starts as zeros. The `encoder`, where there is one, is run once; its outputs
`present.NAME` are the first state. A decoder whose `ids` are [batch, 1] takes one token a step; one
with an input `mask` takes rows of different lengths, padded on the left. One that reads pictures or
sounds among its words has two more:

    placeholder  int64[batch, tokens]         1 where the next feature stands in the word's place
    features     float[batch, length, width]  an output of the encoder: of row after row
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from toolkit.errors import InputError
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel

DECODER, ENCODER = "decoder", "encoder"
IDS, LOGITS, MASK = "ids", "logits", "mask"
PLACEHOLDER, FEATURES = "placeholder", "features"
PAST, PRESENT = "past.", "present."


@dataclass(frozen=True)
class Generation:
    """The tokens that mean something to the loop: what starts a sequence, and what ends it."""

    start: int
    end: int
    most: int
    """Tokens that are generated at most, where the caller does not say."""
    placeholder: int | None = None
    """The token that a prompt has once for each of the encoder's features, in their places."""
    at_once: bool = False
    """A prompt is taken in one step: some of its tokens attend to later ones."""


class SequenceModule(Protocol):
    """What a module that writes sequences has beside its `forward` (the whole, for training)."""

    parts: Mapping[str, Signature]
    generation: Generation


def is_sequence(module: object) -> bool:
    return hasattr(module, "parts") and hasattr(module, "generation")


def generation(model: LoadedModel) -> Generation:
    return cast(SequenceModule, model.module).generation


def part(model: LoadedModel, name: str) -> LoadedModel:
    """One graph of a model that has several. Raises InputError where it has no such part."""
    from toolkit.model import LoadedModel, observed

    parts: Mapping[str, Signature] = getattr(model.module, "parts", {})
    if name not in parts:
        raise InputError(
            f"'{model.origin}' has no part '{name}'",
            "it has: " + ", ".join(parts) if parts else "it is one graph: leave part= out",
        )
    origin = f"{model.origin},part={name}"
    module = model.module.get_submodule(name)
    return observed(LoadedModel(module, parts[name], origin, model.notes, model.digest))


def parts(model: LoadedModel) -> dict[str, LoadedModel]:
    """Every graph of the model by name."""
    return {name: part(model, name) for name in cast(SequenceModule, model.module).parts}
