"""`parity.lock`: what the models were when they were last accepted, and how far they are from it.

Worse is drift, better is a note. A hash may change where something explains it: the file with its
source, its weights or the versions that write it; the signature with the source. Numbers may get
worse within their bands only, whatever explains it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from math import log10
from pathlib import Path
from typing import Any

from toolkit import atomic
from toolkit.errors import InputError
from toolkit.project.config import ModelConfig
from toolkit.project.results import HOLDS, Drift, ModelResult, StageResult
from toolkit.report.lines import size as in_bytes

FORMAT = 1

WORSE = 2.0
"""An error so many times the locked one is drift: for noise in dB that is 6 less."""

QUIET = 1.0
"""A locked error ratio counts as at least this. 1 is the error of PyTorch's own float32 against the
truth, and two right float32 programs differ by that much: another processor or thread count alone
moves a ratio below it. Of right models the worst was 2.0 (docs/decisions/verdict.md)."""

FINEST = 20 * log10(2**23)
"""dB, 138: float32 resolves no more, so a lossy file that was better is locked at this."""

UPDATE = "onnxport check --update"


def read_lock(path: Path) -> dict[str, Any] | None:
    """The lock, None where there is none. Raises InputError where it is not one of ours."""
    if not path.is_file():
        return None
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        fits = lock["format"] == FORMAT and {"models", "versions"} <= lock.keys()
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        hint = f"resolve its conflicts, or write it anew: {UPDATE}"
        raise InputError(f"'{path.name}' is not a lock of format {FORMAT}", hint)
    return dict(lock)


def write_lock(
    path: Path,
    models: Collection[ModelResult],
    versions: Mapping[str, str],
    configured: Collection[ModelConfig],
    before: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write the lock in one step; the names of the models that are in it now as they are.

    What is not proven or was not checked keeps the entry it had `before`; what is no longer
    `configured` goes.
    """
    asked = {config.name: _asked(config) for config in configured}
    old = {name: e for name, e in (before or {}).get("models", {}).items() if name in asked}
    proven = {m.name: entry(m, old.get(m.name, {}), asked[m.name]) for m in models if m.proven}
    lock = {"format": FORMAT, "models": {**old, **proven}, "versions": dict(versions)}
    with atomic.replacing(path) as scratch:
        text = json.dumps(lock, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        scratch.write_text(text, encoding="utf-8")
    return tuple(proven)


def entry(model: ModelResult, before: Mapping[str, Any], asked: set[str]) -> dict[str, Any]:
    """A model as the lock has it: a line for each fact, so that a diff can be read."""
    old = before.get("stages", {})
    new = {s.label: _stage(s, old.get(s.label, {})) for s in model.stages if s.report}
    left = asked - {stage.label for stage in model.stages}  # of a device that is not here
    return {
        "source": model.source,
        "source_sha256": model.source_hash,
        "weights_sha256": model.weights_hash,
        "signature": model.signature.splitlines(),
        "stages": {**{label: facts for label, facts in old.items() if label in left}, **new},
    }


def _stage(stage: StageResult, before: Mapping[str, Any]) -> dict[str, Any]:
    assert stage.report is not None
    facts: dict[str, Any] = {
        "bytes": stage.size,
        "cases": len(stage.report.results),
        "sha256": stage.content,
    }
    if stage.made_by:
        facts["made_by"] = dict(stage.made_by)
    if stage.scheme:
        facts["scheme"] = stage.scheme
    if stage.report.fidelity:
        facts["sqnr"] = {f.output: round(min(f.sqnr, FINEST), 2) for f in stage.report.fidelity}
    elif stage.report.worst:
        facts["error"] = float(f"{stage.report.worst.ratio:.4g}")
    latency = before.get("latency") if stage.latency is None else float(f"{stage.latency:.3g}")
    return facts if latency is None else {**facts, "latency": latency}


def held_against(
    model: ModelResult, config: ModelConfig, lock: Mapping[str, Any], versions: Mapping[str, str]
) -> ModelResult:
    """The model with its drift and its notes; `versions`: those of this run."""
    locked = lock["models"].get(model.name)
    if not model.source_hash and not model.weights_hash:
        return model  # it did not load, which is all that is known
    if locked is None:
        missing = Drift(f"'{model.name}' in the lock", "not there", "configured")
        return replace(model, drift=(missing,)) if model.proven else model
    changes = {
        "source": locked["source_sha256"] != model.source_hash or locked["source"] != model.source,
        "weights": locked["weights_sha256"] != model.weights_hash,
    }
    changed = tuple(name for name, other in changes.items() if other)
    drift, notes = [], [f"the {name} changed since it was locked" for name in changed]
    was, now = "; ".join(locked["signature"]), "; ".join(model.signature.splitlines())
    if was != now:
        moved = Drift("signature", was, now)
        # What does not even hold has nothing to be accepted.
        drift += [moved] if model.proven and not changes["source"] else []
        notes += [] if drift else [str(moved)]
    stages = []
    for stage in model.stages:
        old = locked["stages"].get(stage.label, {})
        why = (*changed, *_moved(old.get("made_by") or lock["versions"], stage.made_by or versions))
        found = list(_compared(stage, old, config, why)) if stage.outcome == HOLDS else []
        bad = tuple(d for d, is_drift in found if is_drift)
        good = tuple(str(d) for d, is_drift in found if not is_drift)
        stages.append(replace(stage, drift=bad, notes=(*stage.notes, *good)))
    if not any(stage.failure for stage in stages):  # else it is known why one does not come out
        came = {stage.label for stage in stages if stage.report}
        gone = sorted((locked["stages"].keys() & _asked(config)) - came)
        drift += [Drift(f"stage '{label}'", "checked", "not there") for label in gone]
    return replace(model, stages=tuple(stages), drift=tuple(drift), notes=(*model.notes, *notes))


def _asked(config: ModelConfig) -> set[str]:
    """The labels of its stages on its devices."""
    return {StageResult(s, d).label for s in config.stages for d in config.devices}


def _moved(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """`torch 2.13.0 to 2.14.0` for each package of which there is another version."""
    return tuple(
        f"{name} {old.get(name, 'none')} to {new.get(name, 'none')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _compared(
    stage: StageResult, known: Mapping[str, Any], config: ModelConfig, why: tuple[str, ...]
) -> Iterator[tuple[Drift, bool]]:
    """Each difference of a stage that holds, and whether it is drift."""
    if not known:
        yield Drift(f"'{stage.label}' in the lock", "not there", "checked"), True
        return
    if known["sha256"] != stage.content:
        reason = f" ({', '.join(why)})" if why else ": neither source, weights nor versions changed"
        yield Drift(f"file{reason}", known["sha256"][:12], stage.content[:12]), not why
    was, now = known["bytes"], stage.size
    if now > was * (1 + config.size_band):
        yield (
            Drift(f"size (may grow by {config.size_band:.0%})", in_bytes(was), in_bytes(now)),
            True,
        )
    elif now < was / (1 + config.size_band):
        yield Drift("size", in_bytes(was), in_bytes(now)), False
    assert stage.report is not None
    if "error" in known and stage.report.worst and not stage.report.fidelity:
        yield from _worse("worst error", known["error"], stage.report.worst.ratio)
    for output, sqnr in known.get("sqnr", {}).items():
        got = next((f.sqnr for f in stage.report.fidelity if f.output == output), None)
        if got is not None and got < sqnr - 20 * log10(WORSE):
            what = f"noise of '{output}' (may be {WORSE:g} times as much)"
            yield Drift(what, f"{sqnr:.1f} dB", f"{got:.1f} dB"), True
    if stage.latency is not None and "latency" in known:
        band = 1 + config.latency_band
        old, new = f"{known['latency']:.3g}x", f"{stage.latency:.3g}x that of PyTorch"
        if stage.latency > known["latency"] * band:
            yield Drift(f"time (may grow by {config.latency_band:.0%})", old, new), True
        elif stage.latency < known["latency"] / band:
            yield Drift("time", old, new), False


def _worse(what: str, was: float, now: float) -> Iterator[tuple[Drift, bool]]:
    limit = WORSE * max(was, QUIET)
    if now > limit:
        what = f"{what} (may be {limit:.3g}x)"
        yield Drift(what, f"{was:.2g}x", f"{now:.2g}x that of float32"), True
