"""BERT: transformer encoder of text, for outputs by token, by text and for masked words.

    x = norm(token + position + segment)             [batch, tokens, width]
    x = norm(x + attention(x)), then
    x = norm(x + W_2 gelu(W_1 x + b_1) + b_2)        in each layer; the last x is `hidden`
    pooled = tanh(W_p hidden[:, 0] + b_p)            [batch, width]
    logits = E norm(gelu(W_h hidden + b_h)) + b      [batch, tokens, vocabulary]

E is the embedding of the tokens. The first token of every row is [CLS], which `pooled` stands on.

Devlin, Chang, Lee, Toutanova: BERT: Pre-training of deep bidirectional transformers for language
understanding, 2018.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.signature import Signature

_EPSILON = 1e-12  # of every LayerNorm, as in the authors' code: weights trained with it need it


class Encoder(nn.Module):
    """Token numbers and mask [batch, tokens] to hidden states and the pooled first of them."""

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        positions: int,
        segments: int,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.segments = nn.Embedding(segments, width)
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                hidden,
                dropout=0.1,
                activation="gelu",
                layer_norm_eps=_EPSILON,
                batch_first=True,
            )
            for _ in range(layers)
        )
        self.pooler = nn.Linear(width, width)
        self.heads = heads

    def forward(
        self, ids: Tensor, mask: Tensor, segments: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`segments` says of each token which of two sentences it is in; without it, the first."""
        position = torch.arange(ids.shape[1], device=ids.device)
        segments = torch.zeros_like(ids) if segments is None else segments
        embedded = self.tokens(ids) + self.positions(position) + self.segments(segments)
        # A position may always look at itself, or the softmax of a row that is all padding would
        # be of nothing: NaN. It changes what comes out at padded positions, and nowhere else.
        allowed = mask[:, None, :].bool() | (position[:, None] == position)
        blocked = (~allowed).repeat_interleave(self.heads, dim=0)
        x: Tensor = self.dropout(self.norm(embedded))
        for layer in self.layers:
            x = layer(x, blocked)
        return {"hidden": x, "pooled": self.pooler(x[:, 0]).tanh()}


class BERT(nn.Module):
    """The encoder, and the head that names masked tokens: logits [batch, tokens, vocabulary]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        vocabulary, width = encoder.tokens.weight.shape
        self.encoder = encoder
        self.transform = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=_EPSILON)
        )
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(
        self, ids: Tensor, mask: Tensor, segments: Tensor | None = None
    ) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.encoder(ids, mask, segments)
        transformed = self.transform(found["hidden"])
        logits = functional.linear(transformed, self.encoder.tokens.weight, self.bias)
        return {**found, "logits": logits}


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)


def build(
    vocabulary: int = 30522,
    width: int = 768,
    layers: int = 12,
    heads: int = 12,
    hidden: int = 3072,
    positions: int = 512,
    segments: int = 2,
) -> tuple[BERT, Signature]:
    """BERT-base, uncased.

    `width` is that of the hidden states, a multiple of `heads`; `hidden` that of the feed-forward
    layers; `positions` the longest text; `segments` the number of token types.
    """
    signature = Signature.parse(
        f"""
        ids: int64[batch, tokens] in 0..{vocabulary - 1}
        mask: int64[batch, tokens] in {{0, 1}}
        where batch = 1..64, tokens = 1..{positions}
        -> hidden: float32[batch, tokens, {width}]
        -> pooled: float32[batch, {width}]
        -> logits: float32[batch, tokens, {vocabulary}]
        """
    )
    encoder = Encoder(vocabulary, width, layers, heads, hidden, positions, segments)
    model = BERT(encoder)
    model.apply(_initialize)
    return model, signature
