"""Candidates: one exporter after the other, each in a copy of the process, each checked.

The first file that holds over the whole signature wins. A candidate that refuses, crashes, hangs or
writes a file that differs is a line in the record, and what it found out about the model (sizes at
which it decides) becomes cases for those after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from toolkit import forked, plugins, versions
from toolkit.artifact import OnnxArtifact, Provenance, open_artifact, publish
from toolkit.errors import (
    ExportRefused,
    InputError,
    NotApplicable,
    NotLoadable,
    OnnxportError,
    ParityError,
    StageCrashed,
    UsageError,
)
from toolkit.examples import sample
from toolkit.inference.isolated import IsolatedSession, awaiting
from toolkit.latency import measure, typical_sizes
from toolkit.model import LoadedModel, held_to
from toolkit.narrowing import in_one_line, narrowed
from toolkit.optimize.normalize import normalize
from toolkit.parity import cases
from toolkit.parity.ahead import ask_ahead
from toolkit.parity.reference import Reference
from toolkit.parity.repeating import Repeating
from toolkit.parity.results import ParityReport
from toolkit.pipeline.held import check_artifact
from toolkit.pipeline.references import reference_model
from toolkit.progress import SILENT, Listener
from toolkit.targets import Target, target as find_target

DEFAULT_ORDER = (
    *("onnxport", "onnxport-precise", "onnxport-wide", "dynamo", "dynamo-strict"),
    *("torchscript", "script", "transformers"),
)
_AFTER = {"onnxport-precise": ("onnxport", "differs"), "onnxport-wide": ("onnxport", "unloadable")}
"""The same program with other arithmetic: of use only after that one's file."""

SHARE = 0.25
"""Of the time that an export took goes to the cases of its check, where nobody says how much. What
the original answers was asked while the file was written: more fit than that seems."""

LEAST, MOST = 1.0, 30.0
"""Seconds that the most telling cases have in any case, and all have at most."""

_AHEAD = 10.0
"""Seconds that a case may take which is asked while the file is written, which waits for it."""

_OTHER_OPSETS = (18, 21, 23)
"""Tried where a runtime cannot load what came out: a kernel may be missing for one version only."""


def default_order() -> tuple[str, ...]:
    """The exporters that are installed: ours first, those of other packages last."""
    installed = plugins.names(plugins.EXPORTERS)
    known = [name for name in DEFAULT_ORDER if name in installed]
    return (*known, *(name for name in installed if name not in known))


@dataclass(frozen=True)
class Plan:
    """What is wanted of an export, apart from the model."""

    exporters: tuple[str, ...] = DEFAULT_ORDER
    opset: int | None = None
    """None: 20, or the newest that the target loads."""
    target: str = ""
    """The oldest runtime that must load the file, `onnxruntime==1.20`; "": the installed one."""
    every: bool = False
    """Try all exporters, and take the fastest file of those that hold."""
    keep_trace: bool = False
    time_limit: float = 1800.0
    """Seconds for one exporter."""
    memory_limit: int | None = None
    """Bytes that one exporter may take beyond what this process has."""


@dataclass(frozen=True)
class Attempt:
    """One exporter tried: `holds`, `refused` by itself, or `differs` from the original."""

    exporter: str
    opset: int
    outcome: str
    reason: str
    hint: str
    seconds: float
    """To write the file."""
    checked: float = 0.0
    """Seconds to check it."""


@dataclass(frozen=True)
class Exported:
    """The file, the check that it passed, and what was tried on the way."""

    artifact: OnnxArtifact
    report: ParityReport
    attempts: tuple[Attempt, ...] = ()
    unchanged: ClassVar[bool] = False

    @property
    def summary(self) -> str:
        """`onnxport: holds on 128 cases (batch all of 1..64), worst error 1.4x ...`"""
        return f"{self.artifact.provenance.exporter}: {self.report.summary}"


def export_model(
    model: LoadedModel,
    reference: Reference,
    out: Path,
    plan: Plan,
    *,
    device: str = "cpu",
    budget: float | None = None,
    seed: int = 0,
    log: Path,
    measured: bool = True,
    listener: Listener = SILENT,
) -> Exported:
    """The first candidate that holds, at `out`; ParityError or InputError where none does.

    `budget`: seconds for the check of each; None: a share of the time that its export took. What
    the exporters print goes to `log`. `measured`: the report also tells how far outputs are off,
    and how well the original repeats itself.
    """
    versions.require_sound()
    if not measured:
        reference.repeating = Repeating(reference.plain, most=0)
    aim = find_target(plan.target)
    tour = _Tour(model, reference, out, plan, aim, log, listener)
    checks: dict[str, Any] = {"device": device, "seed": seed, "measured": measured}
    if budget is not None:
        checks |= {"budget": budget, "modest": inf}
    held: list[tuple[OnnxArtifact, ParityReport, Attempt]] = []
    for name, opset in tour.candidates():
        found = tour.attempt(name, opset, checks)
        if found:
            held.append((*found, tour.attempts[-1]))
            if not plan.every:
                break
    if not held:
        raise _failure(model, tour, checks)
    artifact, report, _ = held[0] if len(held) == 1 else _fastest(held, listener)
    return Exported(publish(artifact, out), report, tuple(tour.attempts))


class _Tour:
    """The candidates of one model, and what was learnt so far."""

    def __init__(
        self,
        model: LoadedModel,
        reference: Reference,
        out: Path,
        plan: Plan,
        aim: Target,
        log: Path,
        listener: Listener,
    ) -> None:
        self.model, self.reference, self.plan, self.out = model, reference, plan, out
        self.attempts: list[Attempt] = []
        self.limits: dict[str, list[int]] = {}
        self._boundaries: dict[str, set[int]] = {}
        self._aim, self._log, self._listener = aim, log, listener
        self._unloadable: set[str] = set()
        self._traced = sample(model.signature, model.examples)[0]
        if plan.opset and plan.opset > aim.opset:
            raise UsageError(
                f"{aim.name} loads opset {aim.opset} at most, not {plan.opset}",
                "ask for an older opset, or name a newer target",
            )

    def candidates(self) -> Iterator[tuple[str, int]]:
        opset = self.plan.opset or min(versions.OPSET, self._aim.opset)
        for name in self.plan.exporters:
            if self.plan.every or self._is_due(name):
                yield name, opset
        if self._unloadable and not self.plan.opset:
            others = (n for n in _OTHER_OPSETS if n != opset and n <= self._aim.opset)
            yield from ((self.plan.exporters[0], n) for n in others)

    def _is_due(self, name: str) -> bool:
        first, wanted = _AFTER.get(name, ("", ""))
        came = {a.exporter: a.outcome for a in self.attempts} | dict.fromkeys(
            self._unloadable, "unloadable"
        )
        return came.get(first, wanted) == wanted

    def attempt(
        self, name: str, opset: int, checks: Mapping[str, Any]
    ) -> tuple[OnnxArtifact, ParityReport] | None:
        """Export and check; None where it does not hold. What happened is in `attempts`."""
        start = time.perf_counter()
        written = start
        try:
            with awaiting(self.out.name) as worker:
                artifact = self._written(name, opset, self._asked_ahead(checks))
                written = time.perf_counter()
                report = check_artifact(
                    artifact,
                    self.reference,
                    self.model.origin,
                    worker=worker,
                    fail_fast=True,
                    listener=self._listener,
                    **(_in_proportion(written - start) | dict(checks)),
                )
            outcome, reason, hint = ("holds" if report.holds else "differs"), report.reason, ""
        except NotApplicable as refusal:
            alone = len(self.plan.exporters) == 1
            if not alone:
                return None
            outcome, reason, hint = "refused", refusal.message, refusal.hint
        except (ExportRefused, NotLoadable, StageCrashed) as refusal:
            outcome, reason, hint = "refused", refusal.message, refusal.hint
            self._learn(name, refusal)
        ended = time.perf_counter()
        taken = (written - start, ended - written) if written > start else (ended - start, 0.0)
        self.attempts.append(Attempt(name, opset, outcome, reason, hint, *taken))
        if outcome == "holds":
            return artifact, report
        self._listener.say(f"{name} {outcome}: {reason}" + (f" ({hint})" if hint else ""))
        return None

    def _written(self, name: str, opset: int, meanwhile: Iterator[None]) -> OnnxArtifact:
        exporter = plugins.exporter(name)
        folder = self.out.parent / f"{name}-{opset}"
        folder.mkdir()
        raw, out = folder / "raw.onnx", folder / self.out.name

        def export() -> dict[str, list[int]]:
            print(f"--- {name}, opset {opset}", flush=True)
            if self.model.reset:
                self.model.reset()
            traced = exporter.export(self.model, raw, opset=opset)
            found = {dim: list(sizes) for dim, sizes in traced.boundaries.items()} if traced else {}
            self._note(found)
            self._normalize(raw, out, name, opset)
            return found

        boundaries = forked.call(
            f"the exporter '{name}'",
            export,
            log=self._log,
            timeout=self.plan.time_limit,
            memory=self.plan.memory_limit,
            meanwhile=takewhile(lambda _: not raw.exists(), meanwhile),
        )
        self._note(boundaries)  # which another process may have noted for itself
        return open_artifact(out)

    def _normalize(self, raw: Path, out: Path, name: str, opset: int) -> None:
        provenance = Provenance(
            source=self.model.origin,
            weights=self.model.digest,
            exporter=name,
            opset=opset,
            traced=self._traced,
            boundaries=self._sizes_at_boundaries(),
            stages=("exported",),
            versions=versions.installed(),
        )
        normalize(
            raw,
            out,
            self.model.signature,
            provenance,
            keep_trace=self.plan.keep_trace,
            newest=(self._aim.opset, self._aim.ir_version),
        )
        raw.unlink(missing_ok=True)

    def _note(self, boundaries: Mapping[str, Sequence[int]]) -> None:
        for dim, sizes in boundaries.items():
            self._boundaries.setdefault(dim, set()).update(sizes)

    def _asked_ahead(self, checks: Mapping[str, Any]) -> Iterator[None]:
        """What the check needs that does not hang on the file."""
        planned = cases.plan(
            self.reference.signature,
            traced=self._traced,
            boundaries=self._sizes_at_boundaries(),
            seed=checks["seed"],
            given=self.reference.given,
        )
        return ask_ahead(self.reference, planned, checks.get("budget", _AHEAD))

    def _sizes_at_boundaries(self) -> dict[str, list[int]]:
        return {dim: sorted(sizes) for dim, sizes in self._boundaries.items()}

    def _learn(self, exporter: str, refusal: OnnxportError) -> None:
        if isinstance(refusal, NotLoadable):
            self._unloadable.add(exporter)
        for name, (low, high) in getattr(refusal, "limits", {}).items():
            self.limits.setdefault(name, [low, high])
            self._note({name: (low - 1, low, high, high + 1)})


def _in_proportion(seconds: float) -> dict[str, Any]:
    """How long the check of a file may take that took so many seconds to write."""
    return {"budget": min(max(LEAST, SHARE * seconds), MOST), "modest": SHARE * seconds}


def _fastest(
    held: Sequence[tuple[OnnxArtifact, ParityReport, Attempt]], listener: Listener
) -> tuple[OnnxArtifact, ParityReport, Attempt]:
    """Timed in turns at a typical size; the earlier exporter where two are as fast."""
    from contextlib import ExitStack

    signature = held[0][0].signature
    with ExitStack() as stack:
        subjects = {
            attempt.exporter: stack.enter_context(IsolatedSession(artifact))
            for artifact, _, attempt in held
        }
        timings = list(measure(subjects, signature, typical_sizes(signature), budget=5.0))
    ratios = {name: sum(t.ratio for t in timings if t.subject == name) for name in subjects}
    count = len(timings) / len(subjects)
    for name, ratio in ratios.items():
        listener.say(f"{name}: {ratio / count:.2f}x the time of {next(iter(ratios))}")
    best = min(ratios.values())
    return next(h for h in held if ratios[h[2].exporter] <= best * 1.02)


def _failure(model: LoadedModel, tour: _Tour, checks: Mapping[str, Any]) -> OnnxportError:
    attempts = tour.attempts
    # What a later one advises says little of an earlier one that wrote a file, and that of
    # torch.jit.script, which cannot read most models, says little of any.
    told = (a for a in attempts if a.outcome == "differs" or (a.hint and a.exporter != "script"))
    first = next(told, attempts[0])
    tried = " and ".join(dict.fromkeys(a.exporter for a in attempts))
    kind = ParityError if any(a.outcome == "differs" for a in attempts) else InputError
    offered = tour.limits and not model.proposed  # a proposed signature is made narrower itself
    narrower = _narrower(model, tour, checks) if offered else ""
    offer = f"; it holds for: {narrower}" if narrower else ""
    failure = kind(
        f"no file that holds over the whole signature of '{model.origin}' (tried {tried})",
        f"{first.exporter} {first.outcome}: {first.reason}"
        + (f" ({first.hint})" if first.hint else "")
        + offer,
    )
    failure.limits = tour.limits
    return failure


def _narrower(model: LoadedModel, tour: _Tour, checks: Mapping[str, Any]) -> str:
    """A signature for which the first exporter was seen to hold; "" where there is none."""
    signature = narrowed(model.signature, tour.limits)
    if signature is None:
        return ""
    try:
        less = held_to(model, signature)
        folder = tour.out.parent / "narrower"
        folder.mkdir()
        again = _Tour(
            less,
            reference_model(less),
            folder / tour.out.name,
            tour.plan,
            find_target(tour.plan.target),
            folder / "log",
            SILENT,
        )
        name, opset = next(again.candidates())
        return in_one_line(signature) if again.attempt(name, opset, checks) else ""
    except OnnxportError:
        return ""
