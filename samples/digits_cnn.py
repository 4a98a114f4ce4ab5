"""A CNN on scikit-learn's handwritten digits, all the way: train, ship, compare, run.

    python samples/digits_cnn.py [--out FOLDER] [--epochs N] [--budget SECONDS]

Writes into FOLDER: weights.safetensors, calibration.npz (training images), held_out.npz (images the
model never saw) and held_out_labels.npy, and bundle/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import toolkit
from digits import digits
from toolkit.plugins import Session
from toolkit.report.console import Live, show_timings
from toolkit.zoo.cnn import CNN, build


def train(model: CNN, images: np.ndarray, labels: np.ndarray, *, epochs: int) -> None:
    """Cross-entropy with smoothed labels, AdamW: weight decay is what 1,437 images need.

    On one thread: so small a model gains nothing from two, and loses much on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    order = torch.Generator().manual_seed(0)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(32):
            logits = model.logits(x[batch])
            loss = torch.nn.functional.cross_entropy(logits, y[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/digits_cnn"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    (images, labels), (held_images, held_labels) = digits()
    with Live() as live:
        live.stage("train")
        model, _ = build(size=8)
        train(model, images, labels, epochs=options.epochs)
        live.say(f"{len(images)} images, {options.epochs} epochs")

        save_file(model.state_dict(), options.out / "weights.safetensors")
        np.savez(options.out / "calibration.npz", pixels=images)
        np.savez(options.out / "held_out.npz", pixels=held_images)
        np.save(options.out / "held_out_labels.npy", held_labels)

        def accuracy(session: Session) -> float:
            batches = (held_images[i : i + 60] for i in range(0, len(held_images), 60))
            found = [session.run({"pixels": b})["probabilities"].argmax(-1) for b in batches]
            return float(np.mean(np.concatenate(found) == held_labels))

        bundle = toolkit.ship(
            "zoo:cnn,size=8",
            options.out / "bundle",
            weights=options.out / "weights.safetensors",
            data={"pixels": images},
            metric=accuracy,
            budget=options.budget,
            listener=live,
        )

    print(f"\nheld-out accuracy ({len(held_images)} images)")
    for name, value in bundle.metrics.items():
        print(f"  {name:10}{100 * value:6.2f} %")
    print("\nlatency")
    show_timings(bundle.timings)
    print(f"\nbundle    {bundle.path}: " + ", ".join(sorted(p.name for p in bundle.path.iterdir())))


if __name__ == "__main__":
    main()
