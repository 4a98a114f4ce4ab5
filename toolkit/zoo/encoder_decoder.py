"""GRU encoder-decoder for translation, one token a step; attention by argument.

    encoder    h_t = GRU(e(x_t), h_t-1);  the state of the decoder starts as the last h
    decoder    s_t = GRU(e(y_t-1), s_t-1);  logits = W_o s_t + b_o
    attention  a_t = softmax_j(v tanh(W s_t-1 + U h_j));  c_t = sum_j a_tj h_j
               s_t = GRU([e(y_t-1), c_t], s_t-1);  logits = W_o [s_t, c_t] + b_o

Cho et al.: Learning phrase representations using RNN encoder-decoder, 2014. Bahdanau, Cho, Bengio:
Neural machine translation by jointly learning to align and translate, 2015 (here with an encoder
of one direction).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from toolkit.sequence import Generation
from toolkit.signature import Signature


class Encoder(nn.Module):
    """source [batch, length] and its lengths [batch] to the state after the last token of each row,
    and, for attention, to the states after every token and their projections U h."""

    def __init__(self, words: int, embedding: int, hidden: int, attention: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.keys = nn.Linear(hidden, hidden, bias=False) if attention else None

    def forward(self, source: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        size = source.shape[1]
        packed = rnn.pack_padded_sequence(
            self.embedding(source),
            lengths.clamp(1, size).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        states, last = self.gru(packed)
        found = {"present.state": last[0]}
        if self.keys is not None:
            memory, _ = rnn.pad_packed_sequence(states, batch_first=True, total_length=size)
            found |= {"memory": memory, "keys": self.keys(memory)}
        return found


class Decoder(nn.Module):
    """One token a row, and the state before it, to scores of the next and the state after it.

    ids [batch, 1]; state [batch, hidden]; for attention also lengths [batch], of the source, and
    the encoder's memory and keys [batch, length, hidden].
    """

    def __init__(self, words: int, embedding: int, hidden: int, attention: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding)
        self.query = nn.Linear(hidden, hidden) if attention else None
        self.score = nn.Linear(hidden, 1, bias=False) if attention else None
        context = hidden if attention else 0
        self.gru = nn.GRUCell(embedding + context, hidden)
        self.out = nn.Linear(hidden + context, words)

    def forward(self, ids: Tensor, state: Tensor, *source: Tensor) -> dict[str, Tensor]:
        x, context = self.embedding(ids[:, 0]), state[:, :0]
        if self.query is not None and self.score is not None:
            lengths, memory, keys = source
            fit = self.score(torch.tanh(self.query(state)[:, None] + keys))  # [batch, length, 1]
            size = memory.shape[1]
            real = torch.arange(size, device=ids.device) < lengths.clamp(1, size)[:, None]
            weight = fit.masked_fill(~real[:, :, None], -torch.inf).softmax(dim=1)
            context = (weight * memory).sum(1)
        state = self.gru(torch.cat((x, context), dim=1), state)
        logits = self.out(torch.cat((state, context), dim=1))
        return {"logits": logits[:, None], "present.state": state}


class EncoderDecoder(nn.Module):
    """source [batch, length], its lengths [batch], target [batch, tokens] to logits of what follows
    each token of the target [batch, tokens, target words]."""

    def __init__(
        self,
        sources: int,
        targets: int,
        embedding: int,
        hidden: int,
        attention: bool,
        longest: int,
        generation: Generation,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(sources, embedding, hidden, attention)
        self.decoder = Decoder(targets, embedding, hidden, attention)
        self.generation = generation
        seen = f"float32[batch, length, {hidden}]"
        attended = (
            f"""
            lengths: int64[batch] in 1..{longest}
            memory:  {seen} in -1..1
            keys:    {seen}
            where length = 1..{longest}
            """
            if attention
            else ""
        )
        self.parts = {
            "encoder": Signature.parse(
                f"""
                source:  int64[batch, length] in 0..{sources - 1}
                lengths: int64[batch] in 1..{longest}
                where batch = 1..32, length = 1..{longest}
                -> present.state: float32[batch, {hidden}]
                {f"-> memory: {seen}; -> keys: {seen}" if attention else ""}
                """
            ),
            "decoder": Signature.parse(
                f"""
                ids:        int64[batch, 1] in 0..{targets - 1}
                past.state: float32[batch, {hidden}] in -1..1
                {attended}
                where batch = 1..32
                -> logits: float32[batch, 1, {targets}]
                -> present.state: float32[batch, {hidden}]
                """
            ),
        }

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Each token of the target in turn (teacher forcing), for training."""
        found = self.encoder(source, lengths)
        state, memory = found["present.state"], [found[n] for n in ("memory", "keys") if n in found]
        attended = (lengths, *memory) if memory else ()
        logits = []
        for ids in target.split(1, dim=1):
            step = self.decoder(ids, state, *attended)
            state = step["present.state"]
            logits.append(step["logits"])
        return {"logits": torch.cat(logits, dim=1)}


def build(
    sources: int = 8192,
    targets: int = 8192,
    embedding: int = 256,
    hidden: int = 256,
    attention: bool = True,
    longest: int = 64,
    start: int = 1,
    end: int = 2,
) -> tuple[EncoderDecoder, Signature]:
    """`sources` and `targets` count the words of each language, `longest` the words of a sentence;
    `start` and `end` are words of the target language."""
    signature = Signature.parse(
        f"""
        source:  int64[batch, length] in 0..{sources - 1}
        lengths: int64[batch] in 1..{longest}
        target:  int64[batch, tokens] in 0..{targets - 1}
        where batch = 1..32, length = 1..{longest}, tokens = 1..{longest}
        -> logits: float32[batch, tokens, {targets}]
        """
    )
    generation = Generation(start, end, most=longest)
    model = EncoderDecoder(sources, targets, embedding, hidden, attention, longest, generation)
    return model, signature
