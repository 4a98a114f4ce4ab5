"""What is held against a reference, opened: an ONNX file on any runtime, or eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from toolkit import plugins
from toolkit.artifact import Declared, OnnxArtifact, Provenance, read_weights
from toolkit.inference.isolated import IsolatedSession
from toolkit.isolation import Worker
from toolkit.ordering import has_internals, orders_numbers
from toolkit.parity.declared import input_problems
from toolkit.parity.settings import Setting, of_file
from toolkit.pipeline.references import LazyFloat64
from toolkit.pipeline.subjects import PYTORCH, Renamed, called
from toolkit.plugins import Session
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


@dataclass(frozen=True)
class Candidate:
    """An open subject, under the names of the signature that it is held to."""

    name: str
    session: Session
    exact: Session | None
    """The same in float64, by other code where there is any: who is heard on appeal."""
    weights: Callable[[], Mapping[str, np.ndarray]]
    settings: Callable[[], Sequence[Setting]] = tuple
    """What its normalizations are told."""
    made: Provenance = field(default_factory=Provenance)
    declared: tuple[Declared, ...] = ()
    """What a file says of its outputs."""
    internal: Callable[[], bool] = lambda: False
    ordered: Callable[[], bool] = lambda: False
    """See `toolkit.ordering`. Two modules put NaN in one place: torch's."""
    unused: tuple[str, ...] = ()
    """Inputs that no node reads."""
    file: OnnxArtifact | None = None
    """What is open; None for a module."""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@contextmanager
def candidate_file(
    artifact: OnnxArtifact,
    signature: Signature,
    *,
    runtime: str,
    device: str,
    worker: Worker | None = None,
) -> Iterator[Candidate]:
    """The file as it lies on disk, in a fresh process, or in that of `worker`."""
    with IsolatedSession(artifact, runtime=runtime, device=device, worker=worker) as isolated:
        session = Renamed(isolated, signature, artifact)
        notes = []
        if session.by_position:
            notes.append(f"matched by position: {session.by_position}")
        notes += [f"input '{name}' changes nothing" for name in artifact.unused]
        if artifact.assumed:
            notes.append(f"'{artifact.path.name}' carries no signature: its ranges are assumed")
        yield Candidate(
            called(artifact.path.name, runtime),
            session,
            LazyFloat64(artifact, signature),
            partial(read_weights, artifact),
            partial(of_file, artifact),
            artifact.provenance,
            session.outputs,
            partial(has_internals, artifact),
            partial(orders_numbers, artifact),
            artifact.unused,
            artifact,
            tuple(input_problems(session.inputs, signature)),
            tuple(notes),
        )


def candidate_model(
    model: LoadedModel, signature: Signature, *, runtime: str, device: str
) -> Candidate:
    """A module in this process, its outputs under the names of `signature`, by position."""
    session = _Module(plugins.runtime(runtime).load(model, device), model, signature)
    try:
        wide = plugins.runtime("pytorch-float64").load(model, "cpu")
        exact: Session | None = _Module(wide, model, signature)
    except Exception:  # deepcopy runs the module's own code
        exact = None
    name = called(model.origin, runtime, PYTORCH)
    return Candidate(name, session, exact, model.weights, notes=model.notes)


class _Module:
    """A session of a module under the output names of another signature."""

    def __init__(self, session: Session, model: LoadedModel, signature: Signature) -> None:
        self.signature, self.device, self._session = signature, session.device, session
        ours = [s.name for s in signature.outputs]
        theirs = [s.name for s in model.signature.outputs]
        same = len(ours) != len(theirs) or set(ours) == set(theirs)
        self._names = {} if same else dict(zip(theirs, ours, strict=True))

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {self._names.get(n, n): a for n, a in self._session.run(feeds).items()}
