"""The protocols that exporters, runtimes and sources implement, and how they are found.

Implementations live outside `toolkit` and are named by the entry-point groups `onnxport.exporters`,
`onnxport.runtimes` and `onnxport.sources`; a third party adds one in its own package the same way.
None is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from toolkit.errors import MissingError, UsageError
from toolkit.signature import Signature

if TYPE_CHECKING:
    from torch import nn

    from toolkit.artifact import OnnxArtifact
    from toolkit.model import LoadedModel

EXPORTERS, RUNTIMES = "onnxport.exporters", "onnxport.runtimes"
SOURCES = "onnxport.sources"


@dataclass(frozen=True)
class Availability:
    """The devices of a runtime that work here; for the others, why not and what to do."""

    devices: tuple[str, ...]
    missing: Mapping[str, tuple[str, str]]
    """device: (what is wrong, how to mend it)"""

    def require(self, device: str) -> str:
        """The device itself; for `auto` the best that works. Raises MissingError with the cure."""
        if device == "auto" and self.devices:
            return self.devices[0]
        if device in self.devices:
            return device
        wrong, cure = self.missing.get(device, (f"there is no device '{device}'", ""))
        raise MissingError(wrong, cure or "devices that work here: " + ", ".join(self.devices))


@dataclass(frozen=True)
class Traced:
    """What an exporter found out about a model while it traced it."""

    boundaries: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Sizes of a dimension on either side of where the program decides by it: cases to check."""


class Exporter(Protocol):
    """A way out of PyTorch. It is called in a copy of the process, which may crash or hang."""

    name: str

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> Traced | None:
        """Write `model` as an ONNX file. Raises ExportRefused with the reason."""


@dataclass(frozen=True)
class Built:
    """A model that a source made, and what its user should know of it (drawn weights, a guess)."""

    module: nn.Module
    signature: Signature
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where models come from: what stands behind `NAME:PLACE,option=value` (`toolkit.source`)."""

    name: str

    def build(self, place: str, **options: Any) -> Built:
        """The model at `place`. Raises InputError where there is none or it cannot be used."""


class Session(Protocol):
    """A model that is loaded and ready to run."""

    signature: Signature
    device: str

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One array for every output. Raises OnnxportError where the runtime refuses the feed."""


Held = Any
"""A value that stays where the runtime computed it: an OrtValue, a tensor on a device."""


@runtime_checkable
class Stateful(Protocol):
    """What a session has, beside `run`, that can leave values where it computed them.

    A KV cache then never becomes an array between two steps. A session without these two methods
    generates as well, by way of arrays (`toolkit.inference.generation`).
    """

    def step(
        self, feeds: Mapping[str, np.ndarray], state: Mapping[str, Held], keep: Collection[str]
    ) -> tuple[dict[str, np.ndarray], dict[str, Held]]:
        """Run with feeds and held values; the outputs as arrays, but those in `keep` held."""

    def select(self, state: Mapping[str, Held], rows: np.ndarray) -> dict[str, Held]:
        """Rows [n] of every held value, repeated or reordered (along axis 0)."""


class Runtime(Protocol):
    """A way to execute a model."""

    name: str

    def availability(self) -> Availability: ...

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> Session:
        """Raises MissingError where `device` does not work here, InputError for a bad file."""


@runtime_checkable
class Bounded(Protocol):
    """What a runtime has, beside the rest, that can say which files it loads."""

    def newest(self) -> tuple[int, int]:
        """The newest opset of the domain ai.onnx and the newest IR version."""


@runtime_checkable
class Optimizing(Protocol):
    """What a runtime has, beside the rest, that rewrites graphs and can be told not to."""

    levels: tuple[str, ...]
    """How much it rewrites: from nothing to all that `load` does."""

    def optimizers(self, subject: OnnxArtifact, device: str) -> tuple[str, ...]:
        """The names of the rewrites that change this graph, in the order in which they do."""

    def load_at(
        self, subject: OnnxArtifact, device: str, level: str, without: Collection[str] = ()
    ) -> Session:
        """As `load`, at one of the levels and without the rewrites of these names."""


@runtime_checkable
class Walking(Protocol):
    """What a runtime has, beside the rest, that can show each value of a graph as it is made."""

    def walk(
        self, subject: OnnxArtifact, feeds: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]] | None:
        """The arrays that the main graph computes, by name and in order; only those that are still
        to be read are held. None for a graph with which it cannot."""


def names(group: str) -> tuple[str, ...]:
    """What is installed in a group, in no particular order."""
    return tuple(_entries(group))


def exporter(name: str) -> Exporter:
    return cast(Exporter, _load(EXPORTERS, name))


def runtime(name: str) -> Runtime:
    return cast(Runtime, _load(RUNTIMES, name))


def source(name: str) -> Source:
    return cast(Source, _load(SOURCES, name))


def _load(group: str, name: str) -> Any:
    entries = _entries(group)
    if not entries:
        raise MissingError(
            f"nothing is installed in the entry-point group '{group}'",
            "install onnxport itself: pip install -e .",
        )
    if name not in entries:
        kind = group.partition(".")[2].removesuffix("s")
        raise UsageError(f"there is no {kind} '{name}'", "installed: " + ", ".join(entries))
    try:
        return entries[name].load()()
    except ImportError as error:
        raise MissingError(
            f"'{name}' needs the package '{error.name}'", f"pip install 'onnxport[{name}]'"
        ) from error


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
