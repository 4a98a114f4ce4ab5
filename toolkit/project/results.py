"""What the check of many models found: one value that the lock and every report are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import OnnxportError
from toolkit.parity.results import ParityReport
from toolkit.project.lines import Place

HOLDS, DIFFERS, DRIFTS, LEFT_OUT, ERROR = "holds", "differs", "drifts", "left out", "error"


@dataclass(frozen=True)
class Drift:
    """Something that is another than the lock says, and worse or without a reason."""

    what: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: was {self.was}, is {self.now}"


@dataclass(frozen=True)
class Tried:
    """An exporter or a scheme: what came of it. `seconds`: to write it, and to check it."""

    name: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """An error as it is told: what is wrong, what to do, the exit code."""

    message: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: OnnxportError) -> Failure:
        return cls(error.message, error.hint, error.exit_code)


@dataclass(frozen=True)
class StageResult:
    """One file on one device: its verdict, and what it is."""

    stage: str
    device: str
    report: ParityReport | None = None
    failure: Failure | None = None
    """Why there is no report."""
    remark: str = ""
    """Why the stage was left out, where it was: nothing to simplify, no int8 that pays."""
    content: str = ""
    """SHA-256 of the graph and its weights, in hex: `toolkit.project.hashes`."""
    size: int = 0
    """Bytes on disk, the external weights included."""
    made_by: Mapping[str, str] = field(default_factory=dict)
    """The versions that wrote the file, as it says itself."""
    scheme: str = ""
    """Of int8: the one that was chosen."""
    latency: float | None = None
    """Its time over PyTorch's, the geometric mean over typical sizes, where it was measured."""
    tried: tuple[Tried, ...] = ()
    drift: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()
    """What the lock explains, or is the better for it."""
    rerun: str = ""
    """A command that shows it again."""
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        if self.failure is not None:
            return DIFFERS if self.failure.exit_code == 1 else ERROR
        if self.report is None:
            return LEFT_OUT
        if not self.report.holds:
            return DIFFERS
        return DRIFTS if self.drift else HOLDS

    @property
    def exit_code(self) -> int:
        if self.failure is not None:
            return self.failure.exit_code
        return int(self.outcome in (DIFFERS, DRIFTS))

    @property
    def reason(self) -> str:
        """Why it is not simply good, in one line; empty where it is."""
        if self.failure is not None:
            return self.failure.message
        if self.report is None:
            return self.remark
        return self.report.reason or "; ".join(map(str, self.drift))

    @property
    def label(self) -> str:
        return self.stage if self.device == "cpu" else f"{self.stage} on {self.device}"

    @property
    def worst(self) -> str:
        """The worst error as a table shows it: `1.4x`, or dB of a lossy file."""
        if self.report is None:
            return ""
        if self.report.fidelity:
            return f"{min(f.sqnr for f in self.report.fidelity):.1f} dB"
        return f"{self.report.worst.ratio:.2g}x" if self.report.worst else ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "device": self.device,
            "outcome": self.outcome,
            "reason": self.reason,
            "hint": self.failure.hint if self.failure else "",
            "exit_code": self.exit_code,
            "report": self.report.to_dict() if self.report else None,
            "content": self.content,
            "size": self.size,
            "made_by": dict(self.made_by),
            "scheme": self.scheme,
            "latency": self.latency,
            "tried": [vars(t) for t in self.tried],
            "drift": [vars(d) for d in self.drift],
            "notes": list(self.notes),
            "rerun": self.rerun,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class ModelResult:
    """One model: every stage on every device."""

    name: str
    source: str
    signature: str
    stages: tuple[StageResult, ...]
    place: Place | None = None
    """Where its source is defined, else where the config names it."""
    source_hash: str = ""
    weights_hash: str = ""
    weights_size: int = 0
    """Bytes of the parameters and buffers in PyTorch; 0 where it is not known."""
    drift: tuple[Drift, ...] = ()
    """What is not of one stage: the signature, a model that the lock does not know."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        return max([int(bool(self.drift)), *(stage.exit_code for stage in self.stages)])

    @property
    def proven(self) -> bool:
        """Every stage holds or was left out, whatever a lock says: this may be locked."""
        return bool(self.stages) and all(
            s.outcome in (HOLDS, DRIFTS, LEFT_OUT) for s in self.stages
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "source": self.source,
            "place": vars(self.place) if self.place else None,
            "signature": self.signature,
            "source_hash": self.source_hash,
            "weights_hash": self.weights_hash,
            "weights_size": self.weights_size,
            "holds": self.holds,
            "exit_code": self.exit_code,
            "drift": [vars(d) for d in self.drift],
            "notes": list(self.notes),
            "stages": [stage.to_dict() for stage in self.stages],
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class ProjectReport:
    """All models, and what they were checked with."""

    models: tuple[ModelResult, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    processor: str = ""
    config: str = ""
    """The name of the config file; empty where one file was checked without one."""
    locked: bool = False
    """There was a lock to hold them against."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """The worst of all: 5 a crash, 4 the machine, 3 bad input, 1 it differs or drifts."""
        return max((model.exit_code for model in self.models), default=0)

    @property
    def counts(self) -> dict[str, int]:
        """How many stages ended in which way: `{"holds": 3, "differs": 1}`."""
        found = [stage.outcome for model in self.models for stage in model.stages]
        return {o: found.count(o) for o in (HOLDS, DIFFERS, DRIFTS, LEFT_OUT, ERROR) if o in found}

    @property
    def summary(self) -> str:
        """`3 of 4 models hold, 1 drifts`"""
        told = f"{sum(m.holds for m in self.models)} of {len(self.models)} models hold"
        drifting = sum(m.proven and not m.holds for m in self.models)
        return f"{told}, {drifting} {'drifts' if drifting == 1 else 'drift'}" if drifting else told

    def to_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "exit_code": self.exit_code,
            "summary": self.summary,
            "counts": self.counts,
            "config": self.config,
            "locked": self.locked,
            "versions": dict(self.versions),
            "processor": self.processor,
            "notes": list(self.notes),
            "models": [model.to_dict() for model in self.models],
            "seconds": self.seconds,
        }


TIMINGS = ("seconds", "latency")
"""Keys of `to_dict` whose values are other ones each time; all else is the same for one seed."""
