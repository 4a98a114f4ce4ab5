"""Parity: prove that a file behaves like its original over a whole signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import plugins
from toolkit.artifact import OnnxArtifact, read_weights
from toolkit.errors import InputError, UsageError
from toolkit.examples import Feeds
from toolkit.inference.data import Data, from_arrays, open_data
from toolkit.inference.isolated import IsolatedSession
from toolkit.parity.cases import Case, plan
from toolkit.parity.compare import compare
from toolkit.parity.declared import input_problems
from toolkit.parity.determinism import require_deterministic
from toolkit.parity.fidelity import Budget, Tally
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.parity.weights import damaged, unrelated
from toolkit.pipeline.explain import explained
from toolkit.pipeline.reduce import require_replaceable
from toolkit.pipeline.subjects import (
    Renamed,
    candidate_session,
    is_file,
    open_file,
    opened_source,
    origin_of,
)
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature

if TYPE_CHECKING:
    from toolkit.model import LoadedModel

_ANYTHING = Tolerance(atol=inf)
"""For lossy candidates: only shapes, dtypes and NaN are judged case by case."""

_SHOWN = 32
"""Batches of data that are cases of a check, at most."""

_UNRELATED = (
    "all weights are others than the original's: pass its --weights,"
    " or seed a source that draws them at random"
)


def check(
    subject: Any,
    *,
    against: Any = None,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    data: Path | str | dict[str, Any] | None = None,
    examples: Any = None,
    runtime: str = "onnxruntime",
    device: str = "cpu",
    budget: float = 30.0,
    seed: int = 0,
    limit: int = 128,
    case: str = "",
    tolerance: Tolerance | None = None,
    fidelity: Budget | None = None,
    explain: bool = False,
    reduced: Path | str | None = None,
    listener: Listener = SILENT,
) -> ParityReport:
    """Run `subject` (an ONNX file or a bundle) beside its original and judge every output.

    `against`: a PyTorch source, a module, or another ONNX file; without it the source that the
    file names. `signature`: the domain, in place of the one that the file or the model carries.
    `case`: rerun one case by its text. A lossy file (int8) is judged by `fidelity`, on `data`
    where it is given; any other by `tolerance`, and `fidelity` where that is passed. `examples`
    (see `toolkit.given`) are cases too, in place of those that come with the source; so are the
    rows of `data` where the file is not lossy, or where values come from data only.

    `explain`: of a failure the report says where it departs and who is to blame, in about as much
    time again. `reduced`: a new folder for the smallest model that shows it, with a script.

    Raises InputError where the original refuses its own domain or is not deterministic.
    """
    if not is_file(subject):
        if not is_file(against):
            raise UsageError("neither side is an ONNX file", "export one: onnxport export SOURCE")
        subject, against = against, subject
    folder = Path(reduced) if reduced is not None else None
    if folder:
        require_replaceable(folder)
    artifact = open_file(subject, signature)
    against = origin_of(artifact, weights) if against is None else against
    original = model = None
    with ExitStack() as stack:
        if is_file(against):
            original = open_file(against, signature)
            reference = stack.enter_context(reference_file(original))
            shown = _shown(examples, data, original.signature, artifact)
            reference.given = _fitting(shown or (), original.signature)
            name = original.path.name
        else:
            claimed = signature or (None if artifact.assumed else artifact.signature)
            shown = _shown(examples, data, claimed, artifact)
            loading = opened_source(against, signature=claimed, weights=weights, examples=shown)
            model = stack.enter_context(loading)
            reference, name = reference_model(model), model.origin
            reference.notes[:0] = _loading_notes(model, artifact)
        report = check_artifact(
            artifact,
            reference,
            name,
            data=_opened(data, reference.signature),
            runtime=runtime,
            device=device,
            budget=budget,
            seed=seed,
            limit=limit,
            case=case,
            tolerance=tolerance,
            fidelity=fidelity,
            listener=listener,
        )
        if report.holds or not (explain or folder):
            return report
        return explained(
            report,
            artifact,
            reference,
            original=original,
            model=model,
            runtime=runtime,
            tolerance=tolerance,
            reduced=folder,
            seconds=budget / 2,
        )


def check_artifact(
    artifact: OnnxArtifact,
    reference: Reference,
    name: str,
    *,
    data: Data | None = None,
    runtime: str = "onnxruntime",
    device: str = "cpu",
    budget: float = 30.0,
    seed: int = 0,
    limit: int = 128,
    case: str = "",
    tolerance: Tolerance | None = None,
    fidelity: Budget | None = None,
    fail_fast: bool = False,
    listener: Listener = SILENT,
) -> ParityReport:
    """The check itself, of an open file against an open reference called `name`."""
    signature = reference.signature
    lossy = fidelity is not None or (artifact.provenance.lossy and tolerance is None)
    if case:
        cases = [Case.parse(case, signature)]
    else:
        made, given = artifact.provenance, reference.given
        cases = plan(
            signature,
            traced=made.traced,
            boundaries=made.boundaries,
            seed=seed,
            limit=limit,
            given=given,
        )
    with candidate_session(artifact, signature, runtime=runtime, device=device) as session:
        judge = Judge(
            reference,
            _ANYTHING if lossy else tolerance or Tolerance(),
            exact=LazyFloat64(artifact, signature),
            declared=session.outputs,
        )
        evidence = compare(
            session,
            reference,
            judge,
            cases,
            budget=budget,
            fail_fast=fail_fast,
            progress=listener.progress,
        )
        problems = input_problems(session.inputs, signature) + evidence.vacuous()
        notes = [*reference.notes]
        if not lossy and not (tolerance and tolerance.explicit):
            original, found = reference.weights(), read_weights(artifact)
            problems += damaged(original, found)
            if unrelated(original, found):
                notes.append(_UNRELATED)
        if session.by_position:
            notes.append(f"matched by position: {session.by_position}")
        notes += [f"input '{name}' changes nothing" for name in artifact.unused]
        if artifact.assumed:
            notes.append(f"'{artifact.path.name}' carries no signature: its ranges are assumed")
        tally = _tally(session, reference, data) if lossy and data else evidence.tally
    return ParityReport(
        candidate=artifact.path.name,
        reference=name,
        signature=signature,
        device=session.device,
        results=tuple(evidence.results),
        unreached=tuple(evidence.unreached),
        problems=tuple(problems + (_over_budget(tally, fidelity or Budget()) if lossy else [])),
        notes=tuple(notes),
        scales=evidence.scales,
        fidelity=tally.result() if lossy else (),
    )


def reference_model(model: LoadedModel) -> Reference:
    """Eager PyTorch, in its own precision and in float64. Raises InputError where it is random."""
    plain = plugins.runtime("pytorch").load(model, "cpu")
    require_deterministic(model, plain)
    try:
        exact = plugins.runtime("pytorch-float64").load(model, "cpu")
        moving = getattr(exact, "moved", None)
        return Reference(plain, exact, model.weights, given=model.examples, moving=moving)
    except Exception as error:  # deepcopy runs the module's own code
        reference = Reference(plain, None, model.weights, given=model.examples)
        reference.notes.append(f"the module cannot be copied to float64: {error}")
        return reference


@contextmanager
def reference_file(original: OnnxArtifact) -> Iterator[Reference]:
    """An ONNX file, optimized and as written: their difference is the rounding it allows itself."""
    with (
        IsolatedSession(original) as optimized,
        IsolatedSession(original, runtime="onnxruntime-unoptimized") as written,
    ):
        deep = LazyFloat64(original, original.signature)
        yield Reference(optimized, written, partial(read_weights, original), lambda: deep)


class LazyFloat64:
    """A file's graph in float64, loaded when it is first run. Raises InputError where it cannot."""

    device = "cpu"

    def __init__(self, artifact: OnnxArtifact, signature: Signature) -> None:
        self.signature, self._artifact = signature, artifact
        self._session: Renamed | None = None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._session is None:
            loaded = plugins.runtime("reference-float64").load(self._artifact, "cpu")
            self._session = Renamed(loaded, self.signature, self._artifact)
        return self._session.run(feeds)


def _loading_notes(model: LoadedModel, artifact: OnnxArtifact) -> list[str]:
    notes = list(model.notes)
    if artifact.provenance.weights and model.digest != artifact.provenance.weights:
        notes.append("the weights file is not the one that the model was made from")
    return notes


def _shown(
    examples: Any, data: Any, signature: Signature | str | None, artifact: OnnxArtifact
) -> Any:
    """The examples, else rows of the data; of a lossy file only where there is no other way."""
    if examples is not None or data is None or signature is None:
        return examples
    known = Signature.parse(signature) if isinstance(signature, str) else signature
    if artifact.provenance.lossy and not known.from_data:
        return None
    return batches_in(_opened(data, known))


def _fitting(feeds: Any, signature: Signature) -> tuple[Feeds, ...]:
    """Mappings of arrays by input name, for a reference that is a file."""
    several = [feeds] if isinstance(feeds, Mapping) else feeds
    found = tuple({str(n): np.asarray(a) for n, a in feed.items()} for feed in several)
    for feed in found:
        signature.validate(feed)
    return found


def batches_in(data: Data | None) -> list[dict[str, np.ndarray]]:
    """Rows as feeds: what examples are where none came with a model."""
    return [] if data is None else [feed for feed, _ in islice(data.batches(), _SHOWN)]


def _opened(data: Any, signature: Signature) -> Data | None:
    if data is None or isinstance(data, Data):
        return data
    if isinstance(data, dict):
        return from_arrays(data, signature)
    return open_data(data, signature)


def _tally(session: Renamed, reference: Reference, data: Data) -> Tally:
    tally = Tally()
    for feed, _ in data.batches():
        data.signature.validate(feed)
        try:
            tally.add(reference.plain.run(feed), session.run(feed))
        except ValueError as error:
            raise InputError(str(error), "quantize fewer operators") from error
    return tally


def _over_budget(tally: Tally, budget: Budget) -> list[str]:
    found = tally.result()
    if not found:
        return ["no floating output to judge a lossy model by"]
    return [
        f"{f}, below the budget of {budget.min_sqnr:g} dB"
        + (f" and {100 * budget.min_top1:g} %" if budget.min_top1 else "")
        for f in found
        if not f.within(budget)
    ]
