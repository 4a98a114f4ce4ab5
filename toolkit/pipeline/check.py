"""Parity: prove that one subject behaves like another over a whole signature."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.parity.fidelity import Budget
from toolkit.parity.results import ParityReport
from toolkit.parity.verdict import Tolerance
from toolkit.pipeline.candidates import candidate_file, candidate_model
from toolkit.pipeline.explain import explained
from toolkit.pipeline.golden import is_golden, write_golden
from toolkit.pipeline.held import check_candidate
from toolkit.pipeline.reduce import require_replaceable
from toolkit.pipeline.references import Asked, opened_reference
from toolkit.pipeline.rows import opened
from toolkit.pipeline.subjects import (
    ONNXRUNTIME,
    PYTORCH,
    is_file,
    open_file,
    opened_source,
    require_pytorch,
)
from toolkit.progress import SILENT, Listener
from toolkit.signature import Signature

RECORDING = 0.25
"""The share of the budget that goes, on top, into recording golden outputs."""


def check(
    subject: Any,
    *,
    against: Any = None,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    data: Path | str | dict[str, Any] | None = None,
    examples: Any = None,
    runtime: str = "",
    device: str = "cpu",
    against_runtime: str = "",
    against_device: str = "cpu",
    budget: float = 30.0,
    seed: int = 0,
    limit: int = 128,
    case: str = "",
    save: Path | str | None = None,
    golden: Path | str | None = None,
    tolerance: Tolerance | None = None,
    fidelity: Budget | None = None,
    explain: bool = False,
    reduced: Path | str | None = None,
    listener: Listener = SILENT,
) -> ParityReport:
    """Run `subject` beside its original and judge every output.

    `subject` and `against`: an ONNX file, a bundle, a PyTorch source or a module, each on its
    `runtime` and device (onnxruntime for files, pytorch for the rest); `against` may be a recording
    as `golden` writes one. Without it the original is the source that the file names, or where that
    cannot be loaded the recording in its bundle. Of a file and PyTorch the latter is the original.

    `signature`: the domain, in place of the one that the file or the model carries.
    `case`: run one case by its text, or the arrays of an .npz. The first failure is made small for
    a quarter of the budget, and its inputs are written to `save`, an .npz. What the original
    returns is recorded in `golden`, for a quarter of the budget.

    A lossy file (int8) is judged by `fidelity`, on `data` where it is given; any other by
    `tolerance`, and `fidelity` where that is passed. `examples` (see `toolkit.given`) are cases
    too, in place of those that come with the source; so are the rows of `data` where the file is
    not lossy, or where values come from data only.

    `explain`: of a failure the report says where it departs and who is to blame, in about as much
    time again. `reduced`: a new folder for the smallest model that shows it, with a script.

    Raises InputError where the original refuses its own domain or is not deterministic.
    """
    folder = Path(reduced) if reduced is not None else None
    if folder:
        require_replaceable(folder)
    if not is_file(subject) and is_file(against) and not is_golden(against):
        subject, against = against, subject
        runtime, against_runtime = against_runtime, runtime
        device, against_device = against_device, device
    artifact = open_file(subject, signature) if is_file(subject) else None
    if against is None and artifact is None:
        raise UsageError("there is nothing to hold it against", "name it: --against SOURCE|FILE")
    asked = Asked(signature, weights, data, examples, against_runtime, against_device)
    with ExitStack() as stack:
        original = opened_reference(against, artifact, asked, stack)
        reference, name = original.reference, original.name
        agreed = reference.signature
        if golden is not None:
            listener.stage("golden")
            write_golden(Path(golden), reference, name, seed=seed, seconds=RECORDING * budget)
            listener.stage("check")
        held = stack.enter_context(ExitStack())
        if artifact is not None:
            opening = candidate_file(
                artifact, agreed, runtime=runtime or ONNXRUNTIME, device=device
            )
            candidate = held.enter_context(opening)
        else:
            require_pytorch(runtime)
            loading = opened_source(
                subject,
                signature=replace(agreed, outputs=()),
                weights=weights,
                examples=list(reference.given) or None,
            )
            model = held.enter_context(loading)
            candidate = candidate_model(model, agreed, runtime=PYTORCH, device=device)
        report = check_candidate(
            candidate,
            reference,
            name,
            data=opened(data, agreed),
            budget=budget,
            seed=seed,
            limit=limit,
            case=case,
            save=save,
            shrinking=not case,
            relating=not case,
            tolerance=tolerance,
            fidelity=fidelity,
            listener=listener,
        )
        held.close()  # to explain opens the file again, and two of a large one are one too many
        inside = artifact is not None and (original.file or original.model)
        if report.holds or not (explain or folder) or not inside:
            return report
        assert artifact is not None
        return explained(
            report,
            artifact,
            reference,
            original=original.file,
            model=original.model,
            runtime=runtime or ONNXRUNTIME,
            tolerance=tolerance,
            reduced=folder,
            seconds=budget / 2,
        )
