"""The zoo, proven: every architecture shipped, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from toolkit import zoo
from toolkit.errors import OnnxportError
from toolkit.pipeline.quantize import best
from toolkit.pipeline.sequence import ship_sequence
from toolkit.pipeline.ship import Bundle, ship
from toolkit.pipeline.subjects import opened_source
from toolkit.progress import SILENT, Listener
from toolkit.sequence import is_sequence


@dataclass(frozen=True)
class Verified:
    """One graph of one architecture; `problem` is empty where it shipped and holds."""

    name: str
    problem: str = ""
    exporter: str = ""
    coverage: str = ""
    nodes: str = ""
    """What the simplifier made of it."""
    int8: str = ""
    """The best scheme and its pace, and whether it is in the bundle."""
    time: float | None = None
    """Of ONNX Runtime over eager PyTorch, for a batch."""
    tokens: str = ""
    """For a decoder: how many sequences came out equal."""
    seconds: float = 0.0


def verify(
    names: Sequence[str] = (),
    *,
    device: str = "cpu",
    budget: float = 10.0,
    listener: Listener = SILENT,
) -> Iterator[Verified]:
    """Ship architectures (all of them where none is named; `cnn,size=8` takes arguments too) to a
    folder that vanishes, and say of each graph how it went."""
    for name in names or zoo.names():
        start = time.perf_counter()
        with TemporaryDirectory() as folder:
            try:
                found = _shipped(name, Path(folder) / "bundle", device, budget, listener)
            except OnnxportError as error:
                found = [Verified(name, problem=error.message)]
        seconds = time.perf_counter() - start
        for row in found:
            yield Verified(**{**vars(row), "seconds": seconds / len(found)})


def _shipped(
    name: str, out: Path, device: str, budget: float, listener: Listener
) -> list[Verified]:
    with opened_source(f"zoo:{name}") as model:
        if not is_sequence(model.module):
            bundle = ship(model, out, device=device, budget=budget, listener=listener)
            return [_row(name, bundle)]
        whole = ship_sequence(model, out, device=device, budget=budget, listener=listener)
    writing = next(w for w in whole.writings if w.subject == "float32")
    tokens = f"{writing.equal} of {writing.rows}"
    return [
        _row(f"{name} {part}", bundle, tokens if part == "decoder" else "")
        for part, bundle in whole.parts.items()
    ]


def _row(name: str, bundle: Bundle, tokens: str = "") -> Verified:
    return Verified(
        name,
        exporter=bundle.exported.artifact.provenance.exporter,
        coverage=bundle.exported.report.coverage,
        nodes=bundle.simplified.remark.partition(" (")[0],
        int8=_int8(bundle),
        time=[t.ratio for t in bundle.timings if t.subject == "float32"][-1],
        tokens=tokens,
    )


def _int8(bundle: Bundle) -> str:
    chosen = best(bundle.quantized)
    if chosen is None:
        return bundle.verdict.removeprefix("no int8 file: ")
    return f"{chosen.scheme} {1 / chosen.ratio:.2f}x as fast" + (
        "" if bundle.int8 else ": left out"
    )
