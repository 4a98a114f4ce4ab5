"""English words to phonemes by a trained GRU encoder-decoder, shipped as encoder and step graph.

    python samples/letters_to_phonemes.py [--out FOLDER] [--words N] [--budget SECONDS]

The weights are those that the package g2p-en carries (Park and Kim, trained on CMUdict); nothing
else of it is used, and the architecture is the zoo's. The words are those of scikit-learn's
descriptions of its data sets. Writes weights.safetensors and bundle/ into FOLDER.
"""

from __future__ import annotations

import argparse
import re
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from safetensors.torch import save_file

import toolkit
from toolkit.report.console import Live

LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
STRESSED = [vowel + stress for vowel in VOWELS.split() for stress in "012"]
PHONEMES = ("<pad>", "<unk>", "<s>", "</s>", *sorted([*STRESSED, "UW", *CONSONANTS.split()]))
LONGEST = 24
SOURCE = (
    f"zoo:encoder_decoder,attention=False,sources={len(LETTERS)},targets={len(PHONEMES)},"
    f"embedding=256,hidden=256,longest={LONGEST},start=2,end=3"
)
NAMES = {
    "embedding.weight": "emb",
    "gru.weight_ih": "w_ih",
    "gru.weight_hh": "w_hh",
    "gru.bias_ih": "b_ih",
    "gru.bias_hh": "b_hh",
}


def trained() -> dict[str, torch.Tensor]:
    """The package's arrays under the names of the zoo's module."""
    package = find_spec("g2p_en")
    assert package is not None
    assert package.origin is not None
    arrays = np.load(Path(package.origin).with_name("checkpoint20.npz"))
    theirs = {f"encoder.{ours}": f"enc_{name}" for ours, name in NAMES.items()}
    theirs = {f"{n}_l0" if ".gru." in n else n: name for n, name in theirs.items()}  # one layer
    theirs |= {f"decoder.{ours}": f"dec_{name}" for ours, name in NAMES.items()}
    theirs |= {"decoder.out.weight": "fc_w", "decoder.out.bias": "fc_b"}
    return {ours: torch.from_numpy(arrays[name]) for ours, name in theirs.items()}


def words(count: int) -> list[str]:
    """The first `count` different words of the descriptions, in alphabetical order."""
    folder = Path(sklearn.datasets.__file__).with_name("descr")
    text = " ".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.rst")))
    found = dict.fromkeys(re.findall(r"\b[a-z]{2,20}\b", text))
    return sorted(list(found)[:count])


def letters(some: list[str]) -> dict[str, np.ndarray]:
    """The inputs of the encoder: letters and the end mark, filled up to the longest word."""
    lengths = np.array([len(word) + 1 for word in some], np.int64)
    source = np.zeros((len(some), lengths.max()), np.int64)
    for row, word in zip(source, some, strict=True):
        row[: len(word) + 1] = [*map(LETTERS.index, word), LETTERS.index("</s>")]
    return {"source": source, "lengths": lengths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/letters_to_phonemes"))
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    weights = options.out / "weights.safetensors"
    save_file(trained(), weights)
    some = words(options.words)
    rows = letters(some)
    with Live() as live:
        bundle = toolkit.ship_sequence(
            SOURCE,
            options.out / "bundle",
            weights=weights,
            data=rows,
            budget=options.budget,
            listener=live,
        )

    subjects = {
        "pytorch": toolkit.generator(SOURCE, weights=weights),
        "float32": toolkit.generator(bundle.path),
        "int8": toolkit.generator(bundle.path, int8=True),
    }
    if not any(part.int8 for part in bundle.parts.values()):
        del subjects["int8"]
    found, seconds = {}, {}
    for name, subject in subjects.items():
        start = time.perf_counter()
        found[name] = subject.generate(rows, most=20)
        seconds[name] = time.perf_counter() - start

    for row in range(0, len(some), max(len(some) // 8, 1)):
        print(f"  {some[row]:16} {' '.join(PHONEMES[p] for p in found['float32'][row])}")
    print(f"\n{'':10}{'as PyTorch':>16}{'words/s':>10}")
    for name, phonemes in found.items():
        equal = sum(a == b for a, b in zip(phonemes, found["pytorch"], strict=True))
        print(f"{name:10}{equal:8} of {len(some):4}{len(some) / seconds[name]:10.0f}")


if __name__ == "__main__":
    main()
