"""Models of transformers that read pictures or sounds among their words (LLaVA, InternVL, Voxtral).

The encoder's graph makes features of a picture or a sound; the decoder's graph puts them in the
places that a prompt keeps for them, and is otherwise that of `sequences`. It is told these places
and does not look for the token: so they are anywhere in the cases of a check, and the state carries
how many features were read. Each row has as many pictures or sounds as the others; features that a
prompt has no places for are not read, so a row with fewer is filled up with any.

Positions in rows and columns (`grids`) and attention to both sides within a picture (`masks`) are
known here; what else a model does is not. So a model is read in this way only if its parts give the
scores that it gives itself to a prompt with two pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporters.huggingface.caches import State, empty
from exporters.huggingface.decoders import Decoder
from exporters.huggingface.encoders import KINDS, MediaEncoder, encoders
from exporters.huggingface.graph import alike, aside, parameters
from exporters.huggingface.grids import GridEncoder, Places
from exporters.huggingface.masks import PictureMasks
from exporters.huggingface.readings import Ranges, text_config, vocabulary
from toolkit import examples
from toolkit.domain import Choices, Interval
from toolkit.model import to_tensor
from toolkit.sequence import FEATURES, LOGITS, PLACEHOLDER, PRESENT
from toolkit.signature import Dim, Signature, TensorSpec

_KINDS_OF_TOKENS = ("token_type_ids", "mm_token_type_ids")
"""Where a model is told the places of its pictures, it may treat them in another way."""
_BIT = Choices((0, 1))
_ROWS, _EACH, _WORDS = 2, 2, 3


@dataclass(frozen=True)
class Media:
    """How a model reads its pictures or sounds."""

    encoder: MediaEncoder | GridEncoder
    decoder: MultimodalDecoder
    signature: Signature
    """Of the encoder."""
    length: Dim
    """How many features a row has: a step for each picture or sound."""
    token: int
    """Stands in a prompt where a feature goes."""

    @property
    def at_once(self) -> bool:
        """A picture is read in one step: its features attend to each other."""
        return self.decoder.masks is not None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a decoder's step takes beside its words."""
        return (
            TensorSpec(PLACEHOLDER, "int64", ("batch", "tokens"), _BIT),
            *self.signature.outputs,
        )


class MultimodalDecoder(nn.Module):
    """As `Decoder`, with the features of each row where `placeholder` is 1.

    ids, mask, placeholder [batch, tokens]; features [batch, length, width]; past_mask and
    past_placeholder [batch, past]; past: the state of each layer. Beyond the last feature
    a placeholder is a word.
    """

    def __init__(
        self, decoder: Decoder, grid: tuple[int, int] | None, masks: PictureMasks | None
    ) -> None:
        """`grid`: rows and columns of a picture's features, where these are their positions."""
        super().__init__()
        self.decoder = decoder
        self._places = Places(*grid) if grid else None
        self.masks = masks

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        placeholder: Tensor,
        features: Tensor,
        past_mask: Tensor,
        past_placeholder: Tensor,
        *past: Tensor,
    ) -> dict[str, Tensor]:
        before = past_placeholder.sum(1, keepdim=True)
        at = before + (placeholder * mask).cumsum(1) - 1
        placed = placeholder * mask * (at < features.shape[1])
        every = torch.cat((past_placeholder, placed), dim=1)
        at = at.clamp(0, features.shape[1] - 1)
        chosen = features.gather(1, at[..., None].expand(-1, -1, features.shape[2]))
        words = cast("Any", self.decoder.model).get_input_embeddings()(ids)
        words = functional.pad(words, (0, features.shape[2] - words.shape[2]))
        embeds = torch.where(placed[..., None] > 0, chosen, words)
        seen = torch.cat((past_mask, mask), dim=1)
        places = self._places(seen, every) if self._places else None
        masks = self.masks(seen, every, ids.shape[1], embeds.dtype) if self.masks else None
        found = self.decoder.step(embeds, seen, past, places, masks)
        return {**found, f"{PRESENT}{PLACEHOLDER}": every}


def media(model: nn.Module, decoder: Decoder, past: State, ranges: Ranges) -> Media | None:
    """How a model reads pictures or sounds; None where it does not, or in another way than here.

    `decoder`: one that takes embeddings; `past`: its state, of any length.
    """
    for kind, name in KINDS:
        token = _token(model, kind)
        if token is None or not hasattr(model, f"get_{kind}_features"):
            continue
        for encoder, spec in encoders(model, kind, name, ranges):
            for masks in _masks(model):
                read = MultimodalDecoder(decoder, encoder.grid, masks)
                if size := _size(model, encoder, read, past, spec, token):
                    return _media(encoder, read, spec, token, size, kind, ranges)
    return None


def _masks(model: nn.Module) -> list[PictureMasks | None]:
    """Those that a model may have: only where it is told the places of pictures it may use them."""
    config = text_config(model)
    told = "token_type_ids" in parameters(model) and getattr(config, "layer_types", None)
    return [None, PictureMasks(config)] if told else [None]


def _token(model: nn.Module, kind: str) -> int | None:
    names = (f"{kind}_token_id", f"{kind}_token_index")
    found = (getattr(model.config, name, None) for name in names)
    return next((n for n in found if isinstance(n, int) and 0 <= n < vocabulary(model)), None)


def _media(
    encoder: MediaEncoder | GridEncoder,
    decoder: MultimodalDecoder,
    spec: TensorSpec,
    token: int,
    size: tuple[int, int],
    kind: str,
    ranges: Ranges,
) -> Media:
    count, width = size
    number = Dim(f"{kind}s", Interval(1, ranges.media))
    length = Dim("length", Interval(count, count * ranges.media, count))
    given = replace(spec, shape=("batch", number.name, *spec.shape[1:]))
    batch = Dim("batch", Interval(1, ranges.batch))
    features = TensorSpec(FEATURES, "float32", ("batch", length.name, width))
    return Media(encoder, decoder, Signature((given,), (batch, number), (features,)), length, token)


def _size(
    model: nn.Module,
    encoder: MediaEncoder | GridEncoder,
    decoder: MultimodalDecoder,
    past: State,
    spec: TensorSpec,
    token: int,
) -> tuple[int, int] | None:
    """How many features a picture has, and how wide they are; None where the parts do not run, or
    say something else than the model."""
    rng = np.random.default_rng(0)
    shape = (_ROWS, _EACH, *map(int, spec.shape[1:]))
    given = to_tensor(examples.draw(spec, shape, "uniform", rng), spec.dtype)
    try:
        with torch.no_grad():
            features = encoder(given)[FEATURES]
            ids, places = _prompt(model, features.shape[1] // _EACH, token, rng)
            kinds = {n: places for n in _KINDS_OF_TOKENS if n in parameters(model)}
            ones = torch.ones_like(ids)
            whole = {"attention_mask": ones, **encoder.given(given), **kinds}
            theirs = aside(model)(input_ids=ids, **whole).logits
            none, before = ones[:, :0], empty(past, _ROWS)
            ours = decoder(ids, ones, places, features, none, none, *before)[LOGITS]
    except Exception:  # what a model says to inputs that are not its own has no common type
        return None
    if not alike(ours, theirs):
        return None
    return features.shape[1] // _EACH, features.shape[2]


def _prompt(
    model: nn.Module, length: int, token: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Ids of pictures among words, and where the places of these are."""
    words = [0] * _WORDS
    row = [*words, *([1] * length + words) * _EACH]
    places = torch.tensor([row] * _ROWS)
    ids = torch.from_numpy(rng.integers(0, vocabulary(model), places.shape))
    ids[ids == token] = 0 if token else 1
    return torch.where(places > 0, token, ids), places


def remarks(
    model: nn.Module, inputs: Collection[str], has_encoder: bool = False
) -> tuple[str, ...]:
    """What of a picture or a sound a file of these inputs leaves out."""
    left = [
        name
        for kind, name in KINDS
        if hasattr(model, f"get_{kind}_features")
        and name in parameters(model)
        and name not in inputs
    ]
    if not left:
        return ()
    if has_encoder:
        return (f"its part 'encoder' reads {left[0]}; as one graph it reads words alone",)
    return (f"{' and '.join(left)} are left out: it is the model of words alone",)


def state(prefix: str, length: str) -> TensorSpec:
    """Which of the tokens until there were places."""
    return TensorSpec(f"{prefix}{PLACEHOLDER}", "int64", ("batch", length), _BIT)
