"""Who speaks? A trained speaker encoder, a 3-layer LSTM, on two recorded voices: ship, compare.

    python samples/speaker_embeddings.py [--out FOLDER] [--utterances N] [--budget SECONDS]

Weights: the package resemblyzer (Apache-2.0), an encoder trained on thousands of voices with the
loss of Wan, Wang, Papir, Moreno: Generalized end-to-end loss for speaker verification, 2018.
Speech: the recorded conversation in the package pyannote.audio (MIT), with a list of who speaks
when. Neither package is imported: only their files are read. Writes bundle/ into FOLDER.

The accuracy budget refuses LSTM nodes in dynamic int8: their embeddings are as far from PyTorch's
(cosines of 0.6 to 0.8) as those of the other voice. What int8 is left is in the last layer alone.
"""

from __future__ import annotations

import argparse
import wave
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import toolkit
from toolkit.plugins import Session
from toolkit.report.console import Live, show_timings

RATE, WINDOW, STEP, CHANNELS = 16_000, 400, 160, 40
"""resemblyzer/hparams.py: 16 kHz, windows of 25 ms every 10 ms, 40 mel channels."""

SIGNATURE = """
    mels: float32[batch, frames, 40] in 0..10
    where batch = 1..8, frames = 20..350
    -> embedding: float32[batch, 256]
"""


class SpeakerEncoder(nn.Module):
    """Mel spectrograms [batch, frames, 40] to embeddings [batch, 256] of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: Tensor) -> dict[str, Tensor]:
        _, (last, _) = self.lstm(mels)
        return {"embedding": nn.functional.normalize(self.linear(last[-1]).relu(), dim=-1)}


def installed(package: str, file: str) -> Path:
    """A file of a package that is not imported: its own imports need audio libraries."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"pip install --no-deps {package}    # this sample reads {file} of it")
    return Path(spec.submodule_search_locations[0]) / file


def trained() -> SpeakerEncoder:
    checkpoint = torch.load(
        installed("resemblyzer", "pretrained.pt"), weights_only=True, map_location="cpu"
    )
    model = SpeakerEncoder().eval()
    names = model.state_dict()  # the checkpoint also holds the two numbers of the training loss
    model.load_state_dict({n: t for n, t in checkpoint["model_state"].items() if n in names})
    return model


def utterances(shortest: float = 1.4, longest: float = 3.49) -> list[tuple[str, np.ndarray]]:
    """Where only one of the two speaks, cut to so many seconds: (speaker, samples in -1..1)."""
    with wave.open(str(installed("pyannote.audio", "sample/sample.wav"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(32768)
    lines = installed("pyannote.audio", "sample/sample.rttm").read_text().splitlines()
    turns = []
    for line in lines:
        start, seconds, speaker = (line.split()[i] for i in (3, 4, 7))
        turns.append((float(start), float(start) + float(seconds), speaker))
    found = []
    for start, end in pairwise(sorted({edge for turn in turns for edge in turn[:2]})):
        who = [speaker for a, b, speaker in turns if a <= start and end <= b]
        for first in np.arange(start, end, longest) if len(who) == 1 else ():
            piece = samples[int(first * RATE) : int(min(first + longest, end) * RATE)]
            if len(piece) >= shortest * RATE:
                found.append((who[0], piece))
    return found


def mel_spectrogram(samples: np.ndarray) -> np.ndarray:
    """The power [frames, 40] in mel channels, of samples no quieter than -30 dB."""
    samples = samples * max(1.0, 10**-1.5 / np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1])) ** 2
    # Slaney's scale: linear below 1 kHz, which is mel 15, then 27 mel for each factor of 6.4.
    top = 15 + 27 * np.log(RATE / 2000) / np.log(6.4)
    mels = np.linspace(0, top, CHANNELS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)
    result: np.ndarray = (power @ triangles.T).astype(np.float32)
    return result


def embeddings(session: Session, spectrograms: list[np.ndarray]) -> np.ndarray:
    """One for each, every one at its own number of frames."""
    return np.concatenate([session.run({"mels": m[None]})["embedding"] for m in spectrograms])


def show_voices(name: str, found: np.ndarray, speakers: tuple[str, ...]) -> None:
    """How near utterances are to others of the same voice and of the other one."""
    cosines = found @ found.T
    same = np.array(speakers)[:, None] == np.array(speakers)
    others = ~np.eye(len(speakers), dtype=bool)
    nearest = np.where(others, cosines, -1).argmax(-1)
    right = sum(speakers[i] == speakers[n] for i, n in enumerate(nearest))
    print(
        f"  {name:10}same voice {cosines[same & others].mean():.4f}   other voice "
        f"{cosines[~same].mean():.4f}   nearest is the same voice {right} of {len(speakers)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/speaker_embeddings"))
    parser.add_argument("--utterances", type=int, default=7, help="how many, at most")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    speakers, sounds = zip(*utterances()[: options.utterances], strict=True)
    spectrograms = [mel_spectrogram(sound) for sound in sounds]
    windows = [m[i : i + 100] for m in spectrograms for i in range(0, len(m) - 99, 20)]
    model = trained()
    with torch.no_grad():
        each = [model(torch.from_numpy(m)[None])["embedding"].numpy() for m in spectrograms]
    eager = np.concatenate(each)

    def nearness(session: Session) -> float:
        """The smallest cosine between an embedding and that of PyTorch."""
        found = embeddings(session, spectrograms).astype(np.float64)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(eager.astype(np.float64), axis=1)
        return float(((found * eager).sum(1) / lengths).min())

    with Live() as live:
        bundle = toolkit.ship(
            (model, SIGNATURE),
            options.out / "bundle",
            data={"mels": np.stack(windows)},
            metric=nearness,
            budget=options.budget,
            listener=live,
        )

    seconds = ", ".join(f"{len(sound) / RATE:.1f}" for sound in sounds)
    print(f"\ncosines between {len(sounds)} utterances of {seconds} s")
    show_voices("pytorch", eager, speakers)
    show_voices("float32", embeddings(toolkit.load(bundle.path), spectrograms), speakers)
    print("\nlargest cosine distance to the embeddings of PyTorch")
    for name in ("float32", "int8"):
        if name in bundle.metrics:
            print(f"  {name:10}{max(0.0, 1 - bundle.metrics[name]):.1e}")
    print("\nlatency")
    show_timings(bundle.timings)
    print(f"\nbundle    {bundle.path}: " + ", ".join(sorted(p.name for p in bundle.path.iterdir())))


if __name__ == "__main__":
    main()
