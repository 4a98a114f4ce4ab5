"""GPT: a decoder-only transformer with a KV cache; one graph serves prefill and decode.

    h = e_token + e_position                                        [batch, tokens, width]
    h = h + attention(norm(h), all up to here);  h = h + W_2 gelu(W_1 norm(h))      each layer
    logits = E norm(h)            tied to the embedding             [batch, tokens, vocabulary]

Radford et al.: Language models are unsupervised multitask learners, 2019 (GPT-2); Vaswani 2017.
"""

import torch
from torch import Tensor, nn

from toolkit.sequence import PRESENT, Generation
from toolkit.signature import Signature
from toolkit.zoo._attention import Attention, Cache, KeysAndValues, caches, extended, pairs


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.memory = KeysAndValues(width, heads)
        self.attention = Attention(width, heads)
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * width, width),
        )

    def forward(self, h: Tensor, past: Cache, allowed: Tensor) -> tuple[Tensor, Cache]:
        x = self.norm(h)
        present = extended(past, self.memory(x))
        h = h + self.attention(x, present, allowed)
        return h + self.feed(h), present


class Decoder(nn.Module):
    """New tokens and the state after the old ones to scores of the next and the state after both.

    ids [batch, tokens]; mask [batch, tokens], 0 where a row is padded (on the left); past_mask
    [batch, past]; past: key and value of each layer, [batch, heads, past, width / heads].
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, positions: int):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)  # section 2.3 of GPT-1: of N(0, 0.02)

    def forward(
        self, ids: Tensor, mask: Tensor, past_mask: Tensor, *past: Tensor
    ) -> dict[str, Tensor]:
        tokens, seen = ids.shape[1], torch.cat((past_mask, mask), dim=1)
        length = seen.shape[1]
        # A padded token stands at no position: the first real one is number 0 in every row. What is
        # longer than a signature can forbid (past and tokens together) stays at the last.
        last = self.positions.num_embeddings - 1
        position = (seen.cumsum(1) - 1).clamp(0, last)[:, length - tokens :]
        every = torch.arange(length, device=ids.device)
        queries = every[length - tokens :, None]
        # Padding sees itself, where it would see nothing; no real token looks at it.
        allowed = ((seen[:, None, None] > 0) & (every <= queries)) | (every == queries)
        h = self.tokens(ids) + self.positions(position)
        found = {f"{PRESENT}mask": seen}
        for number, (layer, cache) in enumerate(zip(self.layers, pairs(past), strict=True)):
            h, (key, value) = layer(h, cache, allowed)
            found |= {f"{PRESENT}{number}.key": key, f"{PRESENT}{number}.value": value}
        logits = nn.functional.linear(self.norm(h), self.tokens.weight)
        return {"logits": logits, **found}


class GPT(nn.Module):
    """Token numbers [batch, tokens] to scores of each next token [batch, tokens, vocabulary]."""

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, positions: int, end: int
    ) -> None:
        super().__init__()
        self.decoder = Decoder(vocabulary, width, layers, heads, positions)
        self.heads, self.width, self.depth = heads, width, layers
        self.generation = Generation(start=end, end=end, most=positions // 2)
        self.parts = {
            "decoder": Signature.parse(
                f"""
                ids: int64[batch, tokens] in 0..{vocabulary - 1}
                mask: int64[batch, tokens] in {{0, 1}}
                past.mask: int64[batch, past] in {{0, 1}}
                {caches("past", layers, heads, "past", width // heads)}
                where batch = 1..16, tokens = 1..{positions // 2}, past = 0..{positions - 1}
                -> logits: float32[batch, tokens, {vocabulary}]
                -> present.mask: int64[batch, length]
                {caches("-> present", layers, heads, "length", width // heads)}
                """
            )
        }

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        """All tokens at once, for training."""
        batch, nothing = ids.shape[0], ids[:, :0]
        empty = self.decoder.tokens.weight.new_empty(batch, self.heads, 0, self.width // self.heads)
        found = self.decoder(ids, torch.ones_like(ids), nothing, *[empty] * (2 * self.depth))
        return {"logits": found["logits"]}


def build(
    vocabulary: int = 8192,
    width: int = 256,
    layers: int = 4,
    heads: int = 8,
    positions: int = 256,
    end: int = 0,
) -> tuple[GPT, Signature]:
    """`positions` is the longest sequence; `end` the token that starts and ends a text."""
    signature = Signature.parse(
        f"""
        ids: int64[batch, tokens] in 0..{vocabulary - 1}
        where batch = 1..16, tokens = 1..{positions}
        -> logits: float32[batch, tokens, {vocabulary}]
        """
    )
    return GPT(vocabulary, width, layers, heads, positions, end), signature
