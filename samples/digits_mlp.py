"""The network of 1986 and today's, trained on the same digits; the better one is shipped.

    python samples/digits_mlp.py [--out FOLDER] [--epochs N] [--budget SECONDS]

zoo:mlp twice, 64-30-10, both by plain stochastic gradient descent in batches of 10: sigmoids with
the squared error, and ReLU with softmax and cross-entropy. Prints the accuracy of both, epoch by
epoch, on 287 training images that are set aside to choose by, and on the 360 held-out images, which
nothing is chosen by. Writes into FOLDER: weights.safetensors and bundle/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

import toolkit
from digits import accuracy, digits
from toolkit import zoo
from toolkit.report.console import Live, show_timings

LAYERS = "64-30-10"
RATES = {"sigmoid": 3.0, "relu": 0.3}
"""Each the best of 0.03, 0.1, 0.3, 1, 3 and 10, of equals the smallest, on the images set aside."""


def train(activation: str, rate: float, *, epochs: int) -> tuple[torch.nn.Module, list[float]]:
    """The network, and after each epoch its accuracy on the images set aside."""
    torch.set_num_threads(1)
    model, _ = zoo.build("mlp", layers=LAYERS, activation=activation)
    images, labels = (torch.from_numpy(array) for array in digits()[0])
    (x, aside_x), (y, aside_y) = images.flatten(1).split([1150, 287]), labels.split([1150, 287])
    order, found = torch.Generator().manual_seed(0), []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(10):
            model.zero_grad()
            model.loss(x[batch], y[batch]).backward()
            with torch.no_grad():
                for weight in model.parameters():
                    weight.sub_(rate * weight.grad)
        found.append(share_right(model, aside_x, aside_y))
    return model, found


def share_right(model: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model.logits(x).argmax(-1) == labels).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/digits_mlp"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    models, curves = {}, {}
    with Live() as live:
        for activation, rate in RATES.items():
            live.stage("train")
            models[activation], curves[activation] = train(activation, rate, epochs=options.epochs)
            live.say(f"{activation}, rate {rate}, {options.epochs} epochs")
        better = max(curves, key=lambda activation: curves[activation][-1])
        save_file(models[better].state_dict(), options.out / "weights.safetensors")
        bundle = toolkit.ship(
            f"zoo:mlp,layers={LAYERS},activation={better}",
            options.out / "bundle",
            weights=options.out / "weights.safetensors",
            data={"x": digits()[0][0].reshape(-1, 64)},
            metric=accuracy,
            budget=options.budget,
            listener=live,
        )

    epochs = [n for n in (1, 2, 3, 5, 10, 20, 30) if n < options.epochs] + [options.epochs]
    print("\naccuracy on 287 images set aside, after so many epochs")
    print(f"{'':10}" + "".join(f"{n:>9}" for n in epochs) + "   held-out (360 images)")
    held, held_labels = (torch.from_numpy(array) for array in digits()[1])
    for activation, curve in curves.items():
        row = [curve[n - 1] for n in epochs]
        row.append(share_right(models[activation], held.flatten(1), held_labels))
        print(f"{activation:10}" + "".join(f"{share:9.2%}" for share in row))
    print(f"\nheld-out accuracy of {better}, as shipped")
    for name, value in bundle.metrics.items():
        print(f"  {name:10}{100 * value:6.2f} %")
    print(f"\nint8      {bundle.verdict}\n")
    show_timings(bundle.timings)


if __name__ == "__main__":
    main()
