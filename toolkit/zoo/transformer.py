"""Transformer: encoder-decoder for translation, with sinusoidal positions and a KV cache.

    h = sqrt(width) e_token + p,  p[t, 2i] = sin(t / 10000^(2i / width)), p[t, 2i + 1] = cos(..)
    encoder   h = norm(h + attention(h));  h = norm(h + W_2 relu(W_1 h))          each layer
    decoder   h = norm(h + attention(h, up to here));  h = norm(h + attention(h, the encoder's))
              h = norm(h + W_2 relu(W_1 h));  logits = E h, tied to the embedding

Vaswani et al.: Attention is all you need, 2017. The encoder's graph also computes the keys and
values that each layer of the decoder will look at, so that no step computes them again.
"""

import math

import torch
from torch import Tensor, nn

from toolkit.sequence import PRESENT, Generation
from toolkit.signature import Signature
from toolkit.zoo._attention import Attention, Cache, KeysAndValues, caches, extended, pairs


class Embedding(nn.Module):
    """Tokens [batch, tokens] that stand at `first` and after it, to [batch, tokens, width]."""

    table: Tensor

    def __init__(self, vocabulary: int, width: int, positions: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=width**-0.5)  # of scale 1 after sqrt(width)
        # The last step of the longest state may be half as long again.
        reach = positions + positions // 2
        angles = torch.arange(reach)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
        table = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, ids: Tensor, first: int = 0) -> Tensor:
        at = torch.arange(first, first + ids.shape[1], device=ids.device)
        embedded: Tensor = self.tokens(ids)
        return embedded * math.sqrt(embedded.shape[2]) + self.table[at]


class Encoder(nn.Module):
    """source, lengths to the keys and values `cross.LAYER.key` for each layer of the decoder.

    source [batch, length]; lengths [batch]: how many tokens of each row are not padding.
    """

    def __init__(
        self, embedding: Embedding, width: int, layers: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = embedding
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.cross = nn.ModuleList(KeysAndValues(width, heads) for _ in range(layers))

    def forward(self, source: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        memory = self.layers(
            self.embedding(source), src_key_padding_mask=~within(source.shape[1], lengths)
        )
        found = {}
        for number, offered in enumerate(self.cross):
            found[f"cross.{number}.key"], found[f"cross.{number}.value"] = offered(memory)
        return found


def within(size: int, lengths: Tensor) -> Tensor:
    """[batch, size], True for the first `lengths` places of each row, and always for one."""
    return torch.arange(size, device=lengths.device) < lengths.clamp(min=1)[:, None]


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.memory = KeysAndValues(width, heads)
        self.itself, self.source = Attention(width, heads), Attention(width, heads)
        self.feed = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, h: Tensor, past: Cache, before: Tensor, cross: Cache, real: Tensor
    ) -> tuple[Tensor, Cache]:
        present = extended(past, self.memory(h))
        h = self.norms[0](h + self.dropout(self.itself(h, present, before)))
        h = self.norms[1](h + self.dropout(self.source(h, cross, real)))
        return self.norms[2](h + self.dropout(self.feed(h))), present


class Decoder(nn.Module):
    """New tokens and the state after the old ones to scores of the next and the state after both.

    ids [batch, tokens]; lengths [batch], of the source; then keys and values, each [batch, heads,
    .., width / heads]: `cross` from the encoder for each layer, and `past` for each layer.
    """

    def __init__(
        self, embedding: Embedding, width: int, layers: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.layers = nn.ModuleList(Layer(width, heads, hidden, dropout) for _ in range(layers))

    def forward(self, ids: Tensor, lengths: Tensor, *caches: Tensor) -> dict[str, Tensor]:
        cross, past = caches[: len(caches) // 2], caches[len(caches) // 2 :]
        tokens, before = ids.shape[1], past[0].shape[2]
        every = torch.arange(before + tokens, device=ids.device)
        causal = every <= every[before:, None]
        real = within(cross[0].shape[2], lengths)[:, None, None]
        h, found = self.embedding(ids, before), dict[str, Tensor]()
        for number, (layer, old, source) in enumerate(
            zip(self.layers, pairs(past), pairs(cross), strict=True)
        ):
            h, (key, value) = layer(h, old, causal, source, real)
            found |= {f"{PRESENT}{number}.key": key, f"{PRESENT}{number}.value": value}
        return {"logits": nn.functional.linear(h, self.embedding.tokens.weight), **found}


class Transformer(nn.Module):
    """source [batch, length], its lengths [batch], target [batch, tokens] to logits of what follows
    each token of the target [batch, tokens, vocabulary]."""

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        positions: int,
        dropout: float,
        generation: Generation,
    ) -> None:
        super().__init__()
        embedding = Embedding(vocabulary, width, positions)
        self.encoder = Encoder(embedding, width, layers, heads, hidden, dropout)
        self.decoder = Decoder(embedding, width, layers, heads, hidden, dropout)
        self.generation = generation
        head = width // heads
        self._empty = (heads, 0, head)
        self.parts = {
            "encoder": Signature.parse(
                f"""
                source:  int64[batch, length] in 0..{vocabulary - 1}
                lengths: int64[batch] in 1..{positions}
                where batch = 1..16, length = 1..{positions}
                {caches("-> cross", layers, heads, "length", head)}
                """
            ),
            "decoder": Signature.parse(
                f"""
                ids:     int64[batch, tokens] in 0..{vocabulary - 1}
                lengths: int64[batch] in 1..{positions}
                {caches("cross", layers, heads, "length", head)}
                {caches("past", layers, heads, "past", head)}
                where batch = 1..16, length = 1..{positions}
                where tokens = 1..{positions // 2}, past = 0..{positions - 1}
                -> logits: float32[batch, tokens, {vocabulary}]
                {caches("-> present", layers, heads, "so_far", head)}
                """
            ),
        }

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> dict[str, Tensor]:
        """All tokens of the target at once, for training."""
        cross = self.encoder(source, lengths).values()
        empty = [self.encoder.embedding.table.new_empty(len(source), *self._empty)] * len(cross)
        return {"logits": self.decoder(target, lengths, *cross, *empty)["logits"]}


def build(
    vocabulary: int = 8192,
    width: int = 256,
    layers: int = 3,
    heads: int = 8,
    hidden: int = 1024,
    positions: int = 128,
    dropout: float = 0.1,
    start: int = 1,
    end: int = 2,
) -> tuple[Transformer, Signature]:
    """`positions`: the longest source, and the longest target; `start` and `end` are tokens."""
    signature = Signature.parse(
        f"""
        source:  int64[batch, length] in 0..{vocabulary - 1}
        lengths: int64[batch] in 1..{positions}
        target:  int64[batch, tokens] in 0..{vocabulary - 1}
        where batch = 1..16, length = 1..{positions}, tokens = 1..{positions}
        -> logits: float32[batch, tokens, {vocabulary}]
        """
    )
    generation = Generation(start, end, most=positions // 2)
    model = Transformer(vocabulary, width, layers, heads, hidden, positions, dropout, generation)
    return model, signature
