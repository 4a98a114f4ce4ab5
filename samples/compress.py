"""Three ways to a smaller CNN, one after the other, and which of them pay: size, time, accuracy.

    python samples/compress.py [--out FOLDER] [--filters N] [--epochs N] [--budget SECONDS]

Trains zoo:cnn with many filters on the digits. Magnitude pruning sets nine in ten weights to zero;
structured pruning takes three in four filters out, from the same start; int8 then rounds what the
structured one left. Each pruning is followed by half as many epochs of fine-tuning. Every file is
timed in turns with the others. Writes into FOLDER: dense.onnx, magnitude.onnx, the structured model
as bundle/ (int8 in it where that is faster here, beside it where not), results.json, compress.png.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
from pathlib import Path

import torch
import torch_pruning
from matplotlib.figure import Figure
from torch.nn.utils import prune

import toolkit
from digits import accuracy, digits
from digits_cnn import train
from toolkit.pipeline.quantize import best
from toolkit.report.console import Live
from toolkit.zoo.cnn import CNN, build

ZEROS, FILTERS = 0.9, 0.75
"""The shares that are taken away of all weights, and of the filters."""


def without_small_weights(model: CNN, *, epochs: int) -> CNN:
    """Unstructured: the smallest weights of both layers become zero and stay so. Same shapes."""
    model = copy.deepcopy(model)
    weights = [(model.conv, "weight"), (model.dense, "weight")]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=ZEROS)
    train(model, *digits()[0], epochs=epochs)
    for layer, name in weights:
        prune.remove(layer, name)
    return model


def without_weak_filters(model: CNN, *, epochs: int) -> CNN:
    """Structured: whole filters go, with the 16 columns of the dense layer that read each."""
    model = copy.deepcopy(model)
    torch_pruning.pruner.MagnitudePruner(
        model,
        torch.from_numpy(digits()[0][0][:2]),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=FILTERS,
        ignored_layers=[model.dense],
    ).step()
    train(model, *digits()[0], epochs=epochs)
    return model


def measured(files: dict[str, Path]) -> dict[str, dict[str, float]]:
    """What each file costs and is worth; times in microseconds, side by side."""
    timings = toolkit.bench(*files.values())
    rows = {}
    for step, path in files.items():
        found = {"file": path.stat().st_size, "gzip": len(gzip.compress(path.read_bytes()))}
        own = (t for t in timings if t.subject == str(path))
        found |= {f"batch {t.sizes['batch']}": t.seconds * 1e6 for t in own}
        rows[step] = found | {"accuracy": accuracy(toolkit.load(path, device="cpu"))}
    return rows


def picture(rows: dict[str, dict[str, float]], path: Path) -> None:
    """Bars, from the dense model above to the last step below: size, time and errors."""
    figure, steps, values = Figure(figsize=(11, 2.6), layout="tight"), list(rows), rows.values()
    size, time, wrong = figure.subplots(1, 3, sharey=True)
    size.barh(steps, [r["file"] / 1e3 for r in values], color="#c5cfdd", label="file")
    size.barh(steps, [r["gzip"] / 1e3 for r in values], 0.4, color="#2f5d8c", label="gzip")
    size.legend(frameon=False, loc="lower right")
    time.barh(steps, [r["batch 16"] for r in values], color="#2f5d8c")
    wrong.barh(steps, [100 - 100 * r["accuracy"] for r in values], color="#2f5d8c")
    titles = ("size, kB", "time of 16 images, us", "errors on 360 held-out images, %")
    for axes, title in zip((size, time, wrong), titles, strict=True):
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    size.invert_yaxis()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/compress"))
    parser.add_argument("--filters", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    images, labels = digits()[0]
    with Live() as live:
        live.stage("train")
        dense, signature = build(size=8, filters=options.filters)
        train(dense, images, labels, epochs=options.epochs)
        live.say(f"{options.filters} filters, {options.epochs} epochs")
        live.stage("prune")
        sparse = without_small_weights(dense, epochs=options.epochs // 2)
        live.say(f"{ZEROS:.0%} of the weights are zero")
        live.stage("prune")
        small = without_weak_filters(dense, epochs=options.epochs // 2)
        live.say(f"{small.conv.out_channels} filters are left")

        files = {"dense": options.out / "dense.onnx", "magnitude": options.out / "magnitude.onnx"}
        for model, path in zip((dense, sparse), files.values(), strict=True):
            toolkit.export(
                model.eval(), path, signature=signature, budget=options.budget, listener=live
            )
        bundle = toolkit.ship(
            (small.eval(), signature),
            options.out / "bundle",
            data={"pixels": images},
            metric=accuracy,
            budget=options.budget,
            listener=live,
        )
    files["structured"] = bundle.model.path
    if bundle.int8:
        files["int8"] = bundle.int8.path
    elif chosen := best(bundle.quantized):  # not faster here: for the table alone
        files["int8"] = options.out / "int8.onnx"
        toolkit.quantize(
            bundle.model,
            files["int8"],
            scheme=chosen.scheme,
            data={"pixels": images},
            budget=options.budget,
        )
    rows = measured(files)
    (options.out / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
    picture(rows, options.out / "compress.png")

    columns = {
        "file": ("kB", 1e3),
        "gzip": ("kB", 1e3),
        "batch 1": ("us", 1),
        "batch 16": ("us", 1),
    }
    print(f"\n{'step':12}" + "".join(f"{name:>20}" for name in columns) + "   accuracy")
    for step, row in rows.items():
        cells = (
            f"{row[name] / scale:8.1f} {unit} ({row[name] / rows['dense'][name]:4.0%})"
            for name, (unit, scale) in columns.items()
        )
        print(f"{step:12}" + "".join(f"{c:>20}" for c in cells) + f"{row['accuracy']:11.2%}")
    print()
    for step, start in (("magnitude", "dense"), ("structured", "dense"), ("int8", "structured")):
        if step in rows:
            idle = [c for c in columns if rows[step][c] > 0.95 * rows[start][c]]
            print(f"{step:12}gains nothing over {start} in: {', '.join(idle) or '-'}")
    print(f"int8        {bundle.verdict}")


if __name__ == "__main__":
    main()
