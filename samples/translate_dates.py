"""Dates in 24 languages to ISO dates, character by character: GRU with attention, and Transformer.

    python samples/translate_dates.py [--out FOLDER] [--steps N] [--models NAME...]

`jeudi 7 mars 2019` becomes `2019-03-07`. Babel's CLDR data writes the dates; the days that are held
out are never trained on. Both models of the zoo are trained, shipped as encoder and decoder, and
translate from the bundle. Writes NAME/bundle into FOLDER for each model.
"""

from __future__ import annotations

import argparse
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from babel.dates import format_date
from torch import nn

import toolkit
from toolkit import zoo
from toolkit.report.console import Live

LANGUAGES = "en de fr es it pt nl sv da nb fi pl cs hu ro tr ru uk el bg id vi ja ko"
STYLES = ("medium", "long", "full")  # the short ones are ambiguous: 3/7/19 is March or July
PAD, START, END, FIRST = 0, 1, 2, 3
LONGEST = 40
MODELS: dict[str, dict[str, Any]] = {
    "encoder_decoder": {"embedding": 64, "hidden": 128},
    "transformer": {"width": 64, "layers": 2, "heads": 4, "hidden": 256, "dropout": 0.0},
}


def written(count: int, rng: np.random.Generator, *, held_out: bool) -> list[tuple[str, str]]:
    """Pairs of a date as people write it and in ISO; every 10th day of the calendar is held out."""
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        day = date(1920, 1, 1) + timedelta(int(rng.integers(0, 150 * 365)))
        if (day.toordinal() % 10 == 0) == held_out:
            style, language = str(rng.choice(STYLES)), str(rng.choice(LANGUAGES.split()))
            text = format_date(day, style, locale=language).lower()
            pairs.append((text[:LONGEST], day.isoformat()))
    return pairs


def numbers(texts: list[str], alphabet: str) -> dict[str, np.ndarray]:
    """What the encoders take: [rows, longest] filled up with PAD, and the length of each row."""
    lengths = np.array([len(t) for t in texts], np.int64)
    source = np.full((len(texts), lengths.max()), PAD, np.int64)
    for row, text in zip(source, texts, strict=True):
        row[: len(text)] = [FIRST + alphabet.index(c) if c in alphabet else PAD for c in text]
    return {"source": source, "lengths": lengths}


def train(model: nn.Module, rows: dict[str, np.ndarray], target: np.ndarray, steps: int) -> None:
    """Teacher forcing: cross-entropy of each next character, AdamW, one cycle of learning rates.

    On one thread: so small a model gains nothing from two, and loses much on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    source, lengths, wanted = map(torch.from_numpy, (rows["source"], rows["lengths"], target))
    given = nn.functional.pad(wanted, (1, 0), value=START)
    wanted = nn.functional.pad(wanted, (0, 1), value=END)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    model.train()
    for _ in range(steps):
        batch = torch.randint(len(source), (64,))
        size = int(lengths[batch].max())
        logits = model(source[batch, :size], lengths[batch], given[batch])["logits"]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted[batch].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/translate_dates"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--held-out", type=int, default=1000, help="dates to translate")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    pairs = written(30_000, rng, held_out=False)
    held = written(options.held_out, rng, held_out=True)
    alphabet = "".join(sorted({c for pair in pairs for text in pair for c in text}))
    rows, held_rows = (numbers([text for text, _ in p], alphabet) for p in (pairs, held))
    target = numbers([iso for _, iso in pairs], alphabet)["source"]
    words, lines = FIRST + len(alphabet), []
    sizes = {
        "encoder_decoder": {"sources": words, "targets": words, "longest": LONGEST},
        "transformer": {"vocabulary": words, "positions": LONGEST},
    }
    for name in options.models:
        torch.manual_seed(0)
        made = zoo.build(name, **sizes[name], **MODELS[name])
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        with Live() as live:
            live.stage("train")
            train(made[0], rows, target, options.steps)
            live.say(f"{name}: {len(pairs)} dates, {options.steps} steps of 64")
            some = {name: array[:512] for name, array in rows.items()}
            toolkit.ship_sequence(
                made, folder / "bundle", data=some, budget=options.budget, listener=live
            )
        for beams in (1, 4):
            eager = toolkit.generator(made).generate(held_rows, beams=beams)
            start = time.perf_counter()
            found = toolkit.generator(folder / "bundle").generate(held_rows, beams=beams)
            speed = len(held) / (time.perf_counter() - start)
            texts = ["".join(alphabet[t - FIRST] for t in row if t >= FIRST) for row in found]
            exact = np.mean([iso == text for (_, iso), text in zip(held, texts, strict=True)])
            equal = sum(a == b for a, b in zip(eager, found, strict=True))
            lines.append(f"{name:18}{beams:5}{100 * exact:8.1f} %{equal:12}{speed:10.0f}")
        print(*(f"  {a:32} {b}" for (a, _), b in zip(held[:4], texts, strict=False)), sep="\n")

    print(f"\n{len(held)} held-out dates  beams   exact  as PyTorch   dates/s", *lines, sep="\n")


if __name__ == "__main__":
    main()
