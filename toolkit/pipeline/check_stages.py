"""One model of a project through its stages: export, simplify, int8, each checked on each device.

Every stage is held against the source itself, not against the file of the stage before.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from toolkit.artifact import BUNDLED, OnnxArtifact, open_artifact
from toolkit.errors import InputError, OnnxportError
from toolkit.latency import overall_ratio
from toolkit.parity.fidelity import Budget
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.bench import bench
from toolkit.pipeline.check import check
from toolkit.pipeline.export import export
from toolkit.pipeline.opened import Opened, opened
from toolkit.pipeline.quantize import quantize
from toolkit.pipeline.ship import INT8
from toolkit.pipeline.shipped import exporters, scheme as as_tried
from toolkit.pipeline.simplify import simplify
from toolkit.pipeline.subjects import is_file
from toolkit.progress import SILENT, Listener
from toolkit.project import hashes
from toolkit.project.config import ModelConfig
from toolkit.project.results import Failure, ModelResult, StageResult, Tried

_CASES = ModelConfig("").cases
"""As many as an export checks by itself: its report stands where nothing else is asked for."""


def check_stages(
    model: ModelConfig,
    *,
    scheme: str = "",
    latency: bool = False,
    case: str = "",
    listener: Listener = SILENT,
) -> ModelResult:
    """Check a model; what is wrong with it is in the result, not raised.

    `scheme`: of int8, where a lock fixes it; else the fastest is taken, which may be another one
    each time. `latency`: measure it as well. `case`: this one alone. `listener` hears a step for
    each stage and device. Paths of `model` are relative to the current folder.
    """
    start = time.perf_counter()
    blank = ModelResult(model.name, str(model.source), model.signature, ())
    try:
        with TemporaryDirectory(prefix="onnxport-") as room, opened(model) as held:
            blank = replace(blank, **held.facts)
            run = _Run(model, held, Path(room), scheme, latency, case, listener)
            stages = run.results()
            found = replace(blank, stages=stages, signature=run.signature or blank.signature)
    except OnnxportError as error:
        first = StageResult(model.stages[0], model.devices[0], failure=Failure.of(error))
        found = replace(blank, stages=(first,))
    return replace(found, seconds=time.perf_counter() - start)


@dataclass(frozen=True)
class _Made:
    """The file of a stage, with the check it has passed on the way, or why there is none."""

    artifact: OnnxArtifact | None
    remark: str = ""
    report: ParityReport | None = None
    tried: tuple[Tried, ...] = ()
    scheme: str = ""


class _Heard(Listener):
    """Keeps who was tried and failed: where no file comes out, that is said and not returned."""

    def __init__(self) -> None:
        self.tried: list[Tried] = []

    def say(self, text: str) -> None:
        if found := re.match(r"(\S+) (refused|differs): (.*)", text, re.DOTALL):
            self.tried.append(Tried(found[1], found[2], found[3]))


class _Run:
    """One model on its way; `_latest` is the float32 file that the next stage starts from."""

    def __init__(
        self,
        model: ModelConfig,
        opened: Opened,
        room: Path,
        scheme: str,
        latency: bool,
        case: str,
        listener: Listener,
    ) -> None:
        self._model, self._opened, self._room = model, opened, room
        self._scheme, self._latency, self._case = scheme, latency, case
        self._listener, self._done = listener, 0
        self._latest: OnnxArtifact | None = None
        self.signature = ""
        """As the file has it, which may be narrower than one that was only proposed."""

    def results(self) -> tuple[StageResult, ...]:
        """The stages asked for; of the export, which all start from, also where it fails."""
        found: list[StageResult] = []
        makers = {"export": self._exported, "simplify": self._simplified, "int8": self._int8}
        for stage, make in makers.items():
            if stage not in (*self._model.stages, "export"):
                continue
            results = self._stage(stage, make, shown=stage in self._model.stages)
            found += results
            if self._latest is None:
                break
        return tuple(found)

    def _stage(
        self, stage: str, make: Callable[[Listener], _Made], *, shown: bool
    ) -> list[StageResult]:
        start, heard = time.perf_counter(), _Heard()
        try:
            made = make(heard)
        except OnnxportError as error:
            failed = StageResult(stage, "", failure=Failure.of(error), tried=tuple(heard.tried))
            if stage == "export" and self._opened.kept is None:
                failed = replace(failed, failure=_without_log(error), rerun=self._again())
            return [self._timed(replace(failed, device=d), start) for d in self._model.devices]
        found = []
        for device in self._model.devices if shown else ():
            try:
                result = self._checked(stage, device, made)
            except OnnxportError as error:
                result = StageResult(stage, device, failure=Failure.of(error))
            found.append(self._timed(result, start))
            start = time.perf_counter()
        return found

    def _timed(self, result: StageResult, start: float) -> StageResult:
        self._done += 1
        self._listener.progress(self._done, len(self._model.stages) * len(self._model.devices))
        return replace(result, seconds=time.perf_counter() - start)

    def _checked(self, stage: str, device: str, made: _Made) -> StageResult:
        artifact, result = made.artifact, StageResult(stage, device, tried=made.tried)
        if artifact is None or (stage == "int8" and device == "cuda"):
            return replace(result, remark=made.remark or "int8 is for CPUs")
        report = made.report
        if report is None or device != "cpu" or self._asks_for_more:
            report = self._report(artifact, device)
        rerun = ["onnxport", "check", self._model.name]
        if report.failures and self._model.file:
            rerun += ["--case", str(report.failures[0].case)]
        return replace(
            result,
            report=report,
            content=hashes.content(artifact),
            size=artifact.size,
            made_by=artifact.provenance.versions if self._opened.kept else {},
            scheme=made.scheme,
            latency=self._ratio(artifact, device) if self._latency else None,
            rerun=shlex.join(rerun),
        )

    def _again(self) -> str:
        """An export of its own, which leaves all that the exporters printed."""
        words = ["onnxport", "export", str(self._model.source)]
        for name in ("signature", "weights"):
            if value := getattr(self._model, name):
                words += [f"--{name}", value]
        return shlex.join([*words, "-o", f"{self._model.name}.onnx"])

    @property
    def _asks_for_more(self) -> bool:
        """More than an export checks by itself."""
        model = self._model
        tolerance = (model.rtol, model.atol) != (None, None)
        return bool(tolerance or self._case or model.data or model.cases != _CASES)

    def _report(self, artifact: OnnxArtifact, device: str) -> ParityReport:
        model, lossy = self._model, artifact.provenance.lossy
        tolerance = Tolerance(rtol=model.rtol, atol=model.atol)
        return check(
            artifact,
            against=self._opened.original,
            data=Path(model.data) if model.data else None,
            device=device,
            budget=model.budget,
            seed=model.seed,
            limit=model.cases,
            case=self._case,
            tolerance=tolerance if tolerance.explicit and not lossy else None,
            fidelity=self._budget if lossy else None,
            explain=True,
        )

    @property
    def _budget(self) -> Budget | None:
        least = self._model.min_sqnr
        return None if least is None else Budget(min_sqnr=least)

    def _ratio(self, artifact: OnnxArtifact, device: str) -> float | None:
        if is_file(self._opened.original):
            return None
        timings = bench(self._opened.original, str(artifact.path), device=device)
        return overall_ratio(timings, str(artifact.path))

    def _exported(self, listener: Listener) -> _Made:
        model, kept = self._model, self._opened.kept
        if kept is not None:
            self._latest = kept
            return _Made(kept)
        if is_file(self._opened.original):
            raise InputError(
                f"'{model.source}' is a file, and there is no other to hold against it",
                "name it as file, and as source what it was made from",
            )
        exported = export(
            self._opened.original,
            self._room / BUNDLED,
            exporters=model.exporters,
            opset=model.opset,
            target=model.target,
            budget=model.budget,
            seed=model.seed,
            listener=listener,
        )
        self._latest, self.signature = exported.artifact, str(exported.artifact.signature)
        return _Made(exported.artifact, report=exported.report, tried=exporters(exported.attempts))

    def _simplified(self, listener: Listener) -> _Made:
        model, out = self._model, self._room / "simplified.onnx"
        assert self._latest is not None
        done = simplify(self._latest, out, budget=model.budget, seed=model.seed, listener=listener)
        if not done.kept:
            return _Made(None, done.remark)
        self._latest = done.artifact
        return _Made(done.artifact, tried=(Tried("onnxsim", "holds", done.remark),))

    def _int8(self, listener: Listener) -> _Made:
        model = self._model
        assert self._latest is not None
        if model.file and Path(model.file).is_dir():
            path = Path(model.file) / INT8
            if not path.is_file():
                return _Made(None, f"the bundle has no {INT8}")
            return _Made(open_artifact(path, model.signature or None))
        chosen, tried = quantize(
            self._latest,
            self._room / INT8,
            scheme=self._scheme or "auto",
            data=Path(model.data) if model.data else None,
            fidelity=self._budget,
            budget=model.budget,
            seed=model.seed,
            listener=listener,
        )
        return _Made(chosen.artifact, tried=tuple(map(as_tried, tried)), scheme=chosen.scheme)


def _without_log(error: OnnxportError) -> Failure:
    """Its log lies in a folder that is gone when this is read."""
    return replace(Failure.of(error), hint=error.hint.partition("all of it is in ")[0].rstrip("; "))
