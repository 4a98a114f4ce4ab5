"""The models of a project, checked side by side, each in a process of its own, against the lock."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from toolkit import versions
from toolkit.errors import OnnxportError, UsageError
from toolkit.isolation import Worker
from toolkit.progress import SILENT, Listener
from toolkit.project import lock as locks
from toolkit.project.config import ModelConfig, ProjectConfig, read_config
from toolkit.project.lines import Place, place_of
from toolkit.project.results import DRIFTS, HOLDS, Failure, ModelResult, ProjectReport, StageResult
from toolkit.quantization.cpu import describe

_AT_LEAST, _CORES_PER_MODEL = 2, 2
"""A check alone uses less than two cores: it traces, and starts processes, with one. Four small
models took 115 and 114 s one after the other and 65 and 61 s two at a time, on two cores that
others used as well. With more cores each check has two for its threads."""

_LOOK = 0.2
"""Seconds between two looks at how far the processes are."""


def check_project(
    config: Path | str | ProjectConfig | None = None,
    *,
    names: Sequence[str] = (),
    update: bool = False,
    latency: bool = False,
    jobs: int | None = None,
    root: Path | str | None = None,
    case: str = "",
    options: Mapping[str, Any] | None = None,
    listener: Listener = SILENT,
) -> ProjectReport:
    """Check the models of `onnxport.toml` (by default the one here or above), or those named.

    Where a `parity.lock` lies beside the config, a model that is worse than it says, or another one
    without a reason, drifts, and the report does not hold. `update` writes the lock instead: of
    every model that is proven. `latency` measures the time over PyTorch's too, one model after
    the other; it is locked and compared only where it was measured. `jobs`: models at once.
    `root`: places in the report are relative to it (default: this folder). `case`: this one alone,
    of one model. `options`: fields of `ModelConfig` in place of what the config says.

    What is wrong with one model is in the report; raises InputError where the config or the lock
    cannot be read, UsageError where there is none or a name is not in it.
    """
    start = time.perf_counter()
    project = config if isinstance(config, ProjectConfig) else read_config(config)
    models = tuple(replace(m, **(options or {})) for m in project.named(tuple(names)))
    if case and (len(models) != 1 or update):
        raise UsageError("a case is of one model", "name it: onnxport check NAME --case TEXT")
    before = locks.read_lock(project.lock)
    root, installed = Path(root or Path.cwd()).resolve(), versions.installed()
    jobs = 1 if latency else jobs or default_jobs()
    locked = before if not update and not case else None

    def finished(model: ModelConfig, result: ModelResult) -> ModelResult:
        placed = replace(result, place=_place(model, project, root))
        return placed if locked is None else locks.held_against(placed, model, locked, installed)

    found = _checked(project, models, before, latency, case, jobs, finished, listener)
    notes = []
    if update:
        written = locks.write_lock(project.lock, found, installed, project.models, before)
        notes.append(f"{project.lock.name}: {len(written)} of {len(found)} models locked")
    elif before is not None and (gone := set(before["models"]) - {m.name for m in project.models}):
        notes.append(f"only the lock has: {', '.join(sorted(gone))}; {locks.UPDATE} removes it")
    return ProjectReport(
        models=tuple(found),
        versions=installed,
        processor=describe(),
        config=project.path.name,
        locked=locked is not None,
        notes=tuple(notes),
        seconds=time.perf_counter() - start,
    )


def default_jobs() -> int:
    """How many models at once on this machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(min(cores, _AT_LEAST), cores // _CORES_PER_MODEL)


def _checked(
    project: ProjectConfig,
    models: Sequence[ModelConfig],
    lock: Mapping[str, Any] | None,
    latency: bool,
    case: str,
    jobs: int,
    finished: Callable[[ModelConfig, ModelResult], ModelResult],
    listener: Listener,
) -> list[ModelResult]:
    """In the order of `models`. `listener` hears of each as it ends, and of the steps of all."""
    total = sum(len(m.stages) * len(m.devices) for m in models)
    listener.progress(0, total)
    with TemporaryDirectory(prefix="onnxport-") as room, _pool(min(jobs, len(models))) as submit:
        futures = []
        for number, model in enumerate(models):
            steps = Path(room) / str(number)
            steps.touch()
            options = {
                "model": model,
                "scheme": _scheme(model, lock),
                "latency": latency,
                "case": case,
            }
            futures.append(submit(project.folder, steps, options))
        results: dict[str, ModelResult] = {}
        left = set(futures)
        while left:
            done, left = wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED)
            listener.progress(sum(p.stat().st_size for p in Path(room).iterdir()), total)
            for model, future in zip(models, futures, strict=True):
                if future in done:
                    results[model.name] = finished(model, future.result())
                    listener.say(f"{model.name}: {_in_a_word(results[model.name])}")
        return [results[model.name] for model in models]


def _scheme(model: ModelConfig, lock: Mapping[str, Any] | None) -> str:
    stages = (lock or {}).get("models", {}).get(model.name, {}).get("stages", {})
    return next((s["scheme"] for s in stages.values() if "scheme" in s), "")


def _in_a_word(model: ModelResult) -> str:
    bad = next((s for s in model.stages if s.exit_code), None)
    return f"{bad.label} {bad.outcome}" if bad else DRIFTS if model.drift else HOLDS


Submit = Callable[[Path, Path, Mapping[str, Any]], Future[ModelResult]]


@contextmanager
def _pool(jobs: int) -> Iterator[Submit]:
    """Threads that wait for processes, which end with the block, also where it is interrupted."""
    running: list[Worker] = []
    pool = ThreadPoolExecutor(jobs)
    try:
        yield lambda *call: pool.submit(_in_a_process, running, *call)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in list(running):
            worker.stop()
        raise
    finally:
        pool.shutdown()


def _in_a_process(
    running: list[Worker], folder: Path, steps: Path, options: Mapping[str, Any]
) -> ModelResult:
    model: ModelConfig = options["model"]
    with Worker(f"the check of '{model.name}'") as worker:
        running.append(worker)
        try:
            reply = worker.call(
                f"{__name__}:_in_this_process",
                {"options": _packed(options)},
                folder=str(folder),
                steps=str(steps),
            )
        except OnnxportError as error:  # it died: the others go on
            stage = StageResult(model.stages[0], model.devices[0], failure=Failure.of(error))
            return ModelResult(model.name, str(model.source), model.signature, (stage,))
        finally:
            running.remove(worker)
    result: ModelResult = _unpacked(reply.arrays["result"])
    return result


def _in_this_process(
    arrays: Mapping[str, np.ndarray], folder: str, steps: str
) -> tuple[None, dict[str, np.ndarray]]:
    """The child's side: paths in the config are relative to its folder."""
    from toolkit.pipeline.check_stages import check_stages

    class Counter(Listener):
        def progress(self, done: int, total: int) -> None:
            Path(steps).write_bytes(bytes(done))

    counter = Counter()
    os.chdir(folder)
    result = check_stages(**_unpacked(arrays["options"]), listener=counter)
    return None, {"result": _packed(result)}


def _packed(value: Any) -> np.ndarray:
    return np.frombuffer(pickle.dumps(value), np.uint8)


def _unpacked(array: np.ndarray) -> Any:
    return pickle.loads(array.tobytes())  # noqa: S301  # of this program's own processes


def _place(model: ModelConfig, project: ProjectConfig, root: Path) -> Place:
    source = model.source if isinstance(model.source, str) else ""
    return place_of(source, project.folder, root, (project.path, model.line))
