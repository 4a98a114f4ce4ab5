"""A model of more than 2 GB of weights: memory, time and files of its export, ours beside torch's.

    python benchmarks/large.py [--layers N] [--subject ours|torch|torchscript] [--json FILE]

Linear layers of 4096 x 3300, and an embedding whose matrix is also the output's. Each subject runs
in a fresh process; `peak` is the most memory that it and its children held together (proportional
set size, so that pages shared by a fork count once) beyond what it held when all was imported and
the model not yet made, over the bytes of the weights: the model in memory is the first 1.0. The
check is measured apart (--check): its reference lends each operator its weights in float64.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import IO

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from exporters.own import Own
from toolkit import forked, source, versions
from toolkit.artifact import Provenance, open_artifact
from toolkit.model import LoadedModel, observed
from toolkit.optimize.normalize import normalize
from toolkit.pipeline.held import check_artifact
from toolkit.pipeline.references import reference_model
from toolkit.signature import Signature

WORDS, WIDE, NARROW = 10_000, 4096, 3300
CONTRACT = f"ids: int64[batch, tokens] in 0..{WORDS - 1}; where batch = 1..4, tokens = 1..16"


class Large(nn.Module):
    """`layers` matrices between an embedding and the same matrix as the output's."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDE)
        sizes = [(WIDE, NARROW), (NARROW, WIDE)] * (layers // 2)
        hidden = [nn.Linear(*pair) for pair in sizes]
        with torch.no_grad():  # He's scale: with PyTorch's own, 90 layers leave nothing of an input
            for layer in hidden:
                layer.weight.mul_(6**0.5)
        self.layers = nn.ModuleList(hidden)
        self.out = nn.Linear(WIDE, WORDS, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.embedding(ids)
        for layer in self.layers:
            hidden = torch.relu(layer(hidden))
        scores: Tensor = self.out(hidden)
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--subject", action="append", choices=SUBJECTS)
    parser.add_argument("--check", action="store_true", help="check ours as well")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.run:
        run(options.run, options.layers, check=options.check)
        return
    print(*(f"{name} {version}" for name, version in versions.installed().items()), sep=", ")
    rows = []
    for subject in options.subject or SUBJECTS:
        command = [sys.executable, __file__, "--run", subject, "--layers", str(options.layers)]
        rows += measured(subject, [*command, *(["--check"] if options.check else [])])
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def run(subject: str, layers: int, *, check: bool) -> None:
    """In a process of its own: say when each phase begins, and what came out."""
    out = sys.stdout

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    say("imported")
    time.sleep(1)  # for the parent to see what the imports take
    say("model")
    torch.manual_seed(0)
    model = source.load((Large(layers).eval(), Signature.parse(CONTRACT)))
    with tempfile.TemporaryDirectory() as folder:
        say("export")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            SUBJECTS[subject](model, Path(folder))
        sizes = {p.name: p.stat().st_size for p in Path(folder).iterdir() if p.suffix != ".log"}
        weights = sum(p.nbytes for p in model.module.parameters())
        if check and subject == "ours":
            say("check")
            artifact = open_artifact(Path(folder) / "m.onnx")
            report = check_artifact(artifact, reference_model(model), "large", budget=20)
            assert report.holds, report.reason
        say(json.dumps({"files": sizes, "weights": weights}))


def ours(model: LoadedModel, folder: Path) -> None:
    model, raw = observed(model), folder / "raw.onnx"

    def export() -> None:
        Own().export(model, raw, opset=20)

    forked.call("the exporter", export, log=folder / "export.log")
    normalize(raw, folder / "m.onnx", model.signature, Provenance())
    raw.unlink()


def plain(model: LoadedModel, folder: Path) -> None:
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")},)
    inputs = (torch.zeros(3, 5, dtype=torch.int64),)
    program = torch.onnx.export(model.module, inputs, dynamic_shapes=shapes, dynamo=True)
    assert program is not None
    program.save(str(folder / "m.onnx"), external_data=True)


def torchscript(model: LoadedModel, folder: Path) -> None:
    torch.onnx.export(
        model.module,
        (torch.zeros(3, 5, dtype=torch.int64),),
        str(folder / "m.onnx"),
        dynamo=False,
        input_names=["ids"],
        dynamic_axes={"ids": {0: "batch", 1: "tokens"}},
    )


SUBJECTS = {"ours": ours, "torch": plain, "torchscript": torchscript}


def measured(subject: str, command: list[str]) -> list[dict[str, object]]:
    """A row for each phase of a subject."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks: dict[str, int] = {"start": 0}
    begun = {"start": time.perf_counter()}
    watch = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watch.start()
    assert process.stdout is not None
    last = _phases(process.stdout, peaks, begun)
    if process.wait():
        return [{"subject": subject, "phase": "failed"}]
    ends = {**begun, "end": time.perf_counter()}
    found, times = json.loads(last), [*ends.values()]
    rows: list[dict[str, object]] = []
    for index, phase in enumerate(begun):
        if phase in ("export", "check"):
            seconds = times[index + 1] - times[index]
            peak = (peaks[phase] - peaks["imported"]) / found["weights"]
            row = {"subject": subject, "phase": phase, "seconds": seconds, "peak": peak}
            rows.append({**found, **row})
    return rows


def _phases(lines: IO[str], peaks: dict[str, int], begun: dict[str, float]) -> str:
    last = ""
    for line in lines:
        last = line.strip()
        if not last.startswith("{"):
            begun[last] = time.perf_counter()
            peaks[last] = 0
    return last


def _watch(process: subprocess.Popen[str], peaks: dict[str, int]) -> None:
    while process.poll() is None:
        phase, start = [*peaks][-1], time.perf_counter()
        peaks[phase] = max(peaks[phase], sum(map(_held, _family(process.pid))))
        # To ask about gigabytes takes long: a quarter of a core at most goes into it.
        time.sleep(max(0.02, 3 * (time.perf_counter() - start)))


def _family(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(c) for t in tasks for c in (t / "children").read_text().split()]
        return [pid, *(member for child in children for member in _family(child))]
    return [pid]


def _held(pid: int) -> int:
    """Bytes of proportional set size; 0 for a process that has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def show(rows: list[dict[str, object]]) -> None:
    table = Table("subject", "phase", "weights", "peak", "seconds", "files")
    for row in rows:
        files = row.get("files", {})
        assert isinstance(files, dict)
        table.add_row(
            str(row["subject"]),
            str(row["phase"]),
            f"{row.get('weights', 0):,}",
            f"{row.get('peak', 0):.2f} x the weights",
            f"{row.get('seconds', 0):.1f}",
            f"{len(files)}: {sum(files.values()):,} bytes",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
