"""A check of a large model: its memory and time, and whether a fault in it is located.

    python benchmarks/memory.py [--model NAME] [--layers N] [--budget SECONDS] [--case TEXT]

    bert        BERT-base as its default config makes it (the encoder: hidden states and the pooled
                first one), over the domain that `hf:` gives it: 1 to 8 rows of 2 to 128 tokens
    bert-wide   the same over 1 to 64 rows
    bert-words  BERT-base of the zoo with its head that names words, over 1 to 64 rows of 1 to 128
                tokens: at 64 x 128 its logits take 1 GB, and 2 GB in float64
    large       the 2.3 GB of benchmarks/large.py, or with 90 layers 5 GB

The file is checked as it is, and with one weight matrix moved by 1 %. Each check runs in a fresh
process; `peak` is the most memory that it and its children held together (proportional set size)
beyond what it held when all was imported, over the bytes of the weights. `seconds` are those of the
clock, `processor` those that all cores together were busy with it: beside other work the clock
tells little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.large import CONTRACT, Large, measured, ours
from toolkit import source, versions
from toolkit.artifact import read_outline
from toolkit.external import stored
from toolkit.model import LoadedModel
from toolkit.pipeline.check import check

WORDS = (
    "ids: int64[batch, tokens] in 0..30521; mask: int64[batch, tokens] in {0, 1};"
    " where batch = 1..64, tokens = 1..128"
)
MODELS = ("bert", "bert-wide", "bert-words", "large")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="bert")
    parser.add_argument("--layers", type=int, default=40, help="of the large one")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for the cases")
    parser.add_argument("--case", default="", help="this one only: batch=8,tokens=128")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.export:
        ours(loaded(options.model, options.layers), options.export)
        return
    if options.run:
        run(options.run, options.model, options.layers, options.budget, options.case)
        return
    print(*(f"{name} {version}" for name, version in versions.installed().items()), sep=", ")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--model", options.model, "--layers", str(options.layers)]
        subprocess.run([sys.executable, __file__, "--export", folder, *asked], check=True)
        for subject in ("right", "wrong"):
            if subject == "wrong":
                moved(Path(folder, "m.onnx"))
            cases = ["--budget", str(options.budget), "--case", options.case]
            command = [sys.executable, __file__, "--run", folder, *asked, *cases]
            rows += measured(subject, command)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def loaded(model: str, layers: int) -> LoadedModel:
    torch.manual_seed(0)
    if model == "large":
        return source.load((Large(layers).eval(), CONTRACT))
    if model == "bert-words":
        return source.load("zoo:bert", signature=WORDS)
    from transformers import BertConfig

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(BertConfig().to_json_string())
        rows = ",batch=64" if model == "bert-wide" else ""
        return source.load(f"hf:{folder}/config.json{rows}")


def moved(path: Path) -> str:
    """Move a matrix in the middle, of those that are read once, by 1 % in place."""
    model = read_outline(path)
    readers = [name for node in model.graph.node for name in node.input]
    once = [t for t in model.graph.initializer if stored(t) and readers.count(t.name) == 1]
    matrices = [t for t in once if len(t.dims) == 2]
    middle = matrices[len(matrices) // 2]
    place = stored(middle)
    assert place is not None
    array = np.memmap(path.parent / place.location, "<f4", "r+", place.offset, (place.length // 4,))
    array *= np.float32(1.01)
    array.flush()
    return str(middle.name)


def run(folder: Path, model: str, layers: int, budget: float, case: str = "") -> None:
    """In a process of its own: say when each phase begins, and what came out."""
    if model.startswith("bert"):
        import transformers.models.bert.modeling_bert  # noqa: F401  # what it takes is no model's
    print("imported", flush=True)
    time.sleep(1)  # for the parent to see what the imports take
    print("model", flush=True)
    original = loaded(model, layers)
    print("check", flush=True)
    before = processor()
    report = check(
        folder / "m.onnx",
        against=(original.module, str(original.signature)),
        budget=budget,
        case=case,
        explain=True,
    )
    departure = report.located.departure if report.located else None
    found = f"{departure.module} ({departure.operator})" if departure else ""
    said = "holds" if report.holds else f"differs, {found or 'not located'}"
    files = {f"{said}, {len(report.results)} cases": 1}
    weights = sum(p.nbytes for p in original.module.parameters())
    used = processor() - before
    print(json.dumps({"files": files, "weights": weights, "processor": used}), flush=True)


def processor() -> float:
    """Seconds of processor time of this process and the children that have ended."""
    return sum(os.times()[:4])


def show(rows: list[dict[str, object]]) -> None:
    table = Table("file", "weights", "peak", "seconds", "processor", "verdict")
    for row in rows:
        files = row.get("files", {})
        assert isinstance(files, dict)
        table.add_row(
            str(row["subject"]),
            f"{row.get('weights', 0):,}",
            f"{row.get('peak', 0):.2f} x the weights",
            f"{row.get('seconds', 0):.1f}",
            f"{row.get('processor', 0):.1f} s",
            ", ".join(files),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
